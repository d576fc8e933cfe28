// Many changes, one update of the page.

/** Calls `act` at most once in `milliseconds`, the first time at once after a short wait for more. */
export function clockThrottle(act: () => void, milliseconds = 100): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      act();
    }, milliseconds);
  };
}
