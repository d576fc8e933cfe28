// Many changes, one update of the page.

/** Calls `act` at most once in `milliseconds`: that long after the first of several changes. */
export function throttle(act: () => void, milliseconds = 100): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      act();
    }, milliseconds);
  };
}
