// The screen of a terminal. A file of its own with xterm.js, which is loaded when a terminal is opened.
//
// What a program writes changes this screen and nothing else: the title of the page and the clipboard are out
// of its reach, because xterm.js has no part for them unless one is added. Links, and marks that turn the
// direction of the text, are taken out here.

import { FitAddon } from '@xterm/addon-fit';
import { type ITheme, Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { withSheets } from './sheets';
import { undirected } from './text';
import type { Size } from './typed';

export interface Screen {
  readonly size: Size;
  /** Ends when there is room for more, so whoever waits for it never fills the memory. */
  write(data: Uint8Array): Promise<void>;
  focus(): void;
  /** Keeps what is there, and takes no more keys. */
  end(): void;
  /** For screen readers: lines are announced. */
  announce(on: boolean): void;
  dispose(): void;
}

export interface Listener {
  typed(data: Uint8Array): void;
  resized(size: Size): void;
  /** The keys that leave the terminal were pressed. */
  left(): void;
}

/** Lines above the screen that are kept. */
const SCROLLBACK = 5000;

/** Bytes that may wait to be shown. With fewer, the many small pieces of a terminal are shown one by one. */
const MOST_WAITING = 256 * 1024;

/** The sequence of terminals that makes text a link to anywhere. */
const OSC_LINK = 8;

export function openScreen(element: HTMLElement, listener: Listener): Screen {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const terminal = new Terminal({
    fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace',
    fontSize: 13,
    scrollback: SCROLLBACK,
    minimumContrastRatio: 4.5,
    theme: theme(element, dark.matches),
    logLevel: 'off',
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.parser.registerOscHandler(OSC_LINK, () => true);
  const { drop } = withSheets(() => terminal.open(element));
  fit.fit();

  const encoder = new TextEncoder();
  // Pieces of output are cut anywhere, also in a character.
  const decoder = new TextDecoder();
  let waiting = 0;
  terminal.onData((text) => listener.typed(encoder.encode(text)));
  // Reports of the mouse in its oldest form, a byte for each character.
  terminal.onBinary((text) => listener.typed(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => listener.resized({ columns: cols, rows }));
  terminal.attachCustomKeyEventHandler((event) => {
    if (!(event.ctrlKey && event.shiftKey && event.code === 'KeyL')) return true;
    event.preventDefault();
    if (event.type === 'keydown') listener.left();
    return false;
  });

  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(element);
  const recolor = (): void => {
    terminal.options.theme = theme(element, dark.matches);
  };
  dark.addEventListener('change', recolor);

  return {
    get size() {
      return { columns: terminal.cols, rows: terminal.rows };
    },
    write: (data) => {
      waiting += data.length;
      const shown = new Promise<void>((resolve) => {
        terminal.write(undirected(decoder.decode(data, { stream: true })), () => {
          waiting -= data.length;
          resolve();
        });
      });
      return waiting > MOST_WAITING ? shown : Promise.resolve();
    },
    focus: () => terminal.focus(),
    end: () => {
      terminal.options.disableStdin = true;
      terminal.options.cursorInactiveStyle = 'none';
      terminal.blur();
    },
    announce: (on) => {
      terminal.options.screenReaderMode = on;
    },
    dispose: () => {
      observer.disconnect();
      dark.removeEventListener('change', recolor);
      terminal.dispose();
      drop();
    },
  };
}

/** The colors of the page, and sixteen that can be read on its ground. */
function theme(element: HTMLElement, isDark: boolean): ITheme {
  const style = getComputedStyle(element);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const [background, foreground] = [color('--code'), color('--ink')];
  const [red, green, yellow, blue] = [color('--bad'), color('--good'), color('--warn'), color('--busy')];
  const [magenta, cyan] = isDark ? ['#d8a6f2', '#7ad7d2'] : ['#7b2d9b', '#0b6a6a'];
  const [black, white] = isDark ? ['#33414d', '#e6ebef'] : ['#16202a', '#51606e'];
  return {
    background, foreground, cursor: foreground, cursorAccent: background,
    selectionBackground: isDark ? '#33556b' : '#b9d8e8',
    black, red, green, yellow, blue, magenta, cyan, white,
    brightBlack: color('--soft'), brightRed: red, brightGreen: green, brightYellow: yellow,
    brightBlue: blue, brightMagenta: magenta, brightCyan: cyan, brightWhite: foreground,
  };
}
