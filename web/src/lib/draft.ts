// What somebody has entered for a new rollout, as a file, as a command, and as a request. The file is the
// one form behind all: what is clicked becomes YAML that `wharf rollout start -f` reads. Pure.

import { PARAMETERS, PROBES } from './policy';

export interface Draft {
  container: string;
  image: string;
  target: 'all' | 'labels' | 'hosts';
  labels: string;
  hosts: string[];
  /** `NAME=VALUE`, one on each line. */
  env: string;
  /** Names of settings to remove, one on each line. */
  unset: string;
  policy: Record<string, string>;
  probe: Record<string, string>;
}

export function emptyDraft(): Draft {
  return { container: '', image: '', target: 'all', labels: '', hosts: [], env: '', unset: '', policy: {}, probe: {} };
}

/** A value of a file. */
export type Tree = string | number | Tree[] | { [key: string]: Tree };

const rows = (text: string): string[] => text.split('\n').map((row) => row.trim()).filter(Boolean);
const amounts = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean);
const shell = (command: string): string[] => ['/bin/sh', '-c', command];

/** The draft as the content of a file. */
export function tree(draft: Draft): { [key: string]: Tree } {
  const file: { [key: string]: Tree } = { container: draft.container.trim() };
  file.targets = draft.target === 'all' ? { all: {} }
    : draft.target === 'labels' ? { labels: draft.labels.trim() }
    : { hosts: { names: draft.hosts } };
  if (draft.image.trim()) file.image = draft.image.trim();
  if (rows(draft.env).length) file.set = { env: rows(draft.env) };
  if (rows(draft.unset).length) file.unset = rows(draft.unset);
  const policy: { [key: string]: Tree } = {};
  for (const { name, kind } of PARAMETERS) {
    const value = draft.policy[name]?.trim();
    if (!value) continue;
    policy[name] = kind === 'list' ? amounts(value) : kind === 'command' ? shell(value) : value;
    const probe = name === 'health' ? probeTree(draft, value) : {};
    if (Object.keys(probe).length) policy.probe = probe;
  }
  if (Object.keys(policy).length) file.policy = policy;
  return file;
}

function probeTree(draft: Draft, gate: string): { [key: string]: Tree } {
  const probe: { [key: string]: Tree } = {};
  for (const { name } of PROBES[gate] ?? []) {
    const value = draft.probe[name]?.trim();
    if (!value) continue;
    probe[name] = name === 'command' ? shell(value) : name === 'path' ? value : Number(value);
  }
  return probe;
}

/** The draft as YAML, to keep in git. */
export function yaml(draft: Draft): string {
  return '# wharf rollout start -f FILE\n' + mapping(tree(draft), '');
}

function mapping(entries: { [key: string]: Tree }, indent: string): string {
  let text = '';
  for (const [key, value] of Object.entries(entries)) {
    if (typeof value !== 'object') {
      text += `${indent}${key}: ${scalar(value)}\n`;
    } else if (Array.isArray(value)) {
      text += `${indent}${key}: [${value.map((item) => scalar(item as string | number)).join(', ')}]\n`;
    } else if (Object.keys(value).length === 0) {
      text += `${indent}${key}: {}\n`;
    } else {
      text += `${indent}${key}:\n${mapping(value, indent + '  ')}`;
    }
  }
  return text;
}

/** Text that YAML could read as something else stands in quotes. */
function scalar(value: string | number): string {
  const text = String(value);
  return typeof value === 'number' || /^[A-Za-z0-9/][A-Za-z0-9._/:%@+-]*$/.test(text) && !/:$/.test(text)
    ? text
    : JSON.stringify(text);
}

/** The same as a command. */
export function startCommand(draft: Draft): string {
  const words = ['wharf', 'rollout', 'start', draft.container.trim() || 'CONTAINER'];
  if (draft.target === 'all') words.push('-A');
  else if (draft.target === 'labels') words.push('-l', draft.labels.trim());
  else words.push('-H', draft.hosts.join(','));
  if (draft.image.trim()) words.push('--image', draft.image.trim());
  for (const variable of rows(draft.env)) words.push('-e', variable);
  for (const setting of rows(draft.unset)) words.push('--unset', setting);
  for (const { name, kind } of PARAMETERS) {
    const value = draft.policy[name]?.trim();
    if (!value) continue;
    words.push(`--${name.replaceAll('_', '-')}`, kind === 'list' ? amounts(value).join(',') : value);
    if (name !== 'health') continue;
    for (const { name: part } of PROBES[value] ?? []) {
      const probed = draft.probe[part]?.trim();
      if (probed) words.push(`--probe-${part}`, probed);
    }
  }
  return words.map(quoted).join(' ');
}

/** A word as a shell reads it back. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
