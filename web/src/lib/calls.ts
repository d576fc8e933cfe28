// What is done to several containers at once: which calls that are, and the same as a command. Pure.

import { quoted } from './draft';
import type { Problem } from './problem';

export type Verb = 'start' | 'stop' | 'restart' | 'kill' | 'pause' | 'unpause' | 'remove';

export interface Chosen {
  host: string;
  name: string;
}

export interface Done {
  host: string;
  name: string;
  /** `undefined` while it is in progress. */
  result?: 'changed' | 'unchanged' | Problem;
}

/** One call: the same containers on several hosts. */
export interface Call {
  hosts: string[];
  names: string[];
}

/** What the messages of all calls on hosts have in common. */
export interface HostMessage {
  host: string;
  event: { case?: string; value?: unknown };
}

/** The calls that together reach exactly the chosen containers. */
export function calls(chosen: Chosen[]): Call[] {
  const byHost = new Map<string, string[]>();
  for (const { host, name } of chosen) byHost.set(host, [...(byHost.get(host) ?? []), name]);
  const bySet = new Map<string, Call>();
  for (const [host, names] of byHost) {
    const sorted = [...names].sort();
    const key = sorted.join('\n');
    const call = bySet.get(key);
    if (call) call.hosts.push(host);
    else bySet.set(key, { hosts: [host], names: sorted });
  }
  return [...bySet.values()];
}

/** The same as a command. */
export function actionCommand(verb: Verb, chosen: Chosen[]): string {
  const name = verb === 'remove' ? 'rm -f' : verb;
  const each = chosen.map(({ host, name: container }) => `${host}/${container}`);
  return `wharf ${name} ${each.map(quoted).join(' ')}`;
}
