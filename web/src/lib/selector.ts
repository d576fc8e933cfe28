// The selectors of `-l` for what the page has already: `env=prod,tier in (web,api),!canary`. The server
// has the last word wherever a call goes to hosts. Pure.

export type Test = (labels: Record<string, string>) => boolean;

export type Selector = { test: Test } | { problem: string };

const NAME = String.raw`[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?`;
const EQUAL = new RegExp(`^(${NAME})\\s*(==|=|!=)\\s*([A-Za-z0-9._-]*)$`);
const SET = new RegExp(`^(${NAME})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EXISTS = new RegExp(`^(!?)\\s*(${NAME})$`);

/** Reads a selector; an empty one matches everything. */
export function parseSelector(text: string): Selector {
  const tests: Test[] = [];
  for (const requirement of split(text)) {
    if (!requirement) {
      if (text.trim() === '') continue;
      return { problem: 'a requirement is missing beside a comma' };
    }
    const test = parseRequirement(requirement);
    if (!test) return { problem: `"${requirement}" is not KEY, !KEY, KEY=VALUE, KEY!=VALUE, or KEY in (A,B)` };
    tests.push(test);
  }
  return { test: (labels) => tests.every((test) => test(labels)) };
}

function parseRequirement(text: string): Test | undefined {
  const equal = EQUAL.exec(text);
  if (equal) {
    const [, key = '', operator, value] = equal;
    return operator === '!=' ? (labels) => own(labels, key) !== value : (labels) => own(labels, key) === value;
  }
  const set = SET.exec(text);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    const contains = (labels: Record<string, string>) => {
      const value = own(labels, key);
      return value !== undefined && values.has(value);
    };
    return operator === 'in' ? contains : (labels) => !contains(labels);
  }
  const exists = EXISTS.exec(text);
  if (!exists) return undefined;
  const [, not, key = ''] = exists;
  return (labels) => (own(labels, key) === undefined) === (not === '!');
}

/** Labels come from others: a label named `constructor` is none that every object has. */
function own(labels: Record<string, string>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

/** At commas outside of parentheses. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const letter of text) {
    if (letter === '(') depth += 1;
    if (letter === ')') depth -= 1;
    if (letter === ',' && depth === 0) {
      parts.push(part.trim());
      part = '';
    } else {
      part += letter;
    }
  }
  return [...parts, part.trim()];
}
