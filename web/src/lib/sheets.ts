// Styles of a library that makes `<style>` elements, which the policy of the page does not allow. Their text
// becomes a sheet that the document adopts: a script may do that, markup cannot.

/** Runs `make`, and adopts the text of the `<style>` elements that it creates, now and later. `drop` removes
 *  those sheets. */
export function withSheets<T>(make: () => T): { made: T; drop: () => void } {
  const own: CSSStyleSheet[] = [];
  const create = document.createElement.bind(document);
  const instead = (tag: string, options?: ElementCreationOptions): HTMLElement => {
    return tag === 'style' ? adopted(create('template'), own) : create(tag, options);
  };
  // Nothing else runs meanwhile. The option `documentOverride` of xterm.js would do the same, if all of its
  // parts heeded it.
  Object.defineProperty(document, 'createElement', { value: instead, configurable: true });
  try {
    return { made: make(), drop: () => remove(own) };
  } finally {
    Reflect.deleteProperty(document, 'createElement');
  }
}

/** Stands in for a `<style>` element, which would be refused even if it was empty. */
function adopted(element: HTMLElement, own: CSSStyleSheet[]): HTMLElement {
  const sheet = new CSSStyleSheet();
  own.push(sheet);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(element, 'textContent', { set: (text: string) => sheet.replaceSync(text) });
  return element;
}

function remove(own: CSSStyleSheet[]): void {
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !own.includes(sheet));
}
