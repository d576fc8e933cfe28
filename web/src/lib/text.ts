// Text of containers, labels, and logs, which anybody may have written. Svelte never reads it as markup;
// here it also loses what would change the text around it. Pure.

/** Escape sequences of terminals: CSI, OSC, and the short ones. */
// eslint-disable-next-line no-control-regex
const ANSI = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\-_])/g;
/** Control characters but tab and newline. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
/** Marks that turn the direction of the text, and so the meaning of what stands beside it. */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Characters that nobody sees, with which two names look the same. Joiners are not among them: languages need them. */
const UNSEEN = /[\u00ad\u180e\u200b\u2060-\u2064\ufeff\u{e0000}-\u{e007f}]/gu;
/** More marks on one letter than any language has: they would be drawn over the lines above and below. */
const PILED = /(\p{M}{4})\p{M}+/gu;

/** Output of programs: without colors and cursor movement, with a sign for every other control. */
export function plain(text: string): string {
  return text
    .replace(ANSI, '')
    .replace(/\r+\n|[\u2028\u2029]/g, '\n')
    .replace(CONTROL, '\ufffd')
    .replace(BIDI, '\ufffd')
    .replace(UNSEEN, '\ufffd')
    .replace(PILED, '$1');
}

/** Output for the screen of a terminal, which reads its sequences itself. */
export function undirected(text: string): string {
  return text.replace(BIDI, '\ufffd');
}

/** One line of at most `most` characters, for names and messages. */
export function line(text: string, most = 500): string {
  const flat = plain(text).replace(/\s+/g, ' ');
  return flat.length > most ? `${flat.slice(0, most)}…` : flat;
}

/** As `line`, with its lines, of which `tallest` are shown: the page around a message must stay in sight. */
export function lines(text: string, most = 2000, tallest = 20): string {
  const all = plain(text).trim().split('\n');
  const flat = all.slice(0, tallest).join('\n');
  return flat.length > most || all.length > tallest ? `${flat.slice(0, most)}…` : flat;
}

/** The first digits of an ID or digest, as docker shows them. */
export function short(id: string, digits = 12): string {
  return id.replace(/^sha256:/, '').slice(0, digits);
}

/** `1 host`, `3 hosts`. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
