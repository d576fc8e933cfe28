// Containers in groups, and what differs inside of them. Pure.

import type { Row } from '../state/containers.svelte';

export type Grouping = 'name' | 'host';

/** One image of a group. */
export interface Variant {
  imageId: string;
  hosts: string[];
}

export interface Group {
  title: string;
  rows: Row[];
  running: number;
  /** By number of hosts; more than one in a group by name means that hosts differ. */
  variants: Variant[];
}

/** What a list shows: the title of a group, or a container in it. */
export type Item =
  | { kind: 'group'; key: string; group: Group }
  | { kind: 'row'; key: string; row: Row; differs: boolean };

/** Names that rollouts give to containers that they keep for an undo, or have put aside. */
const KEPT = /\.(old|new|bad)-[0-9a-f]{8}$/;

export function isKept(name: string): boolean {
  return KEPT.test(name);
}

/** The containers that a search finds: each word in the name, host, image, ID, or a label. */
export function search(rows: Row[], text: string): Row[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter(({ host, container }) => {
    const labels = Object.entries(container.labels).map(([key, value]) => `${key}=${value}`);
    const all = [host, container.name, container.image, container.id, container.state, ...labels];
    const haystack = all.join('\n').toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
}

/** Groups sorted by title, with their containers sorted. */
export function group(rows: Row[], by: Grouping): Group[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const title = by === 'name' ? row.container.name : row.host;
    const members = groups.get(title);
    if (members) members.push(row);
    else groups.set(title, [row]);
  }
  const order = by === 'name' ? (row: Row) => row.host : (row: Row) => row.container.name;
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([title, members]) => ({
      title,
      rows: members.sort((a, b) => (order(a) < order(b) ? -1 : 1)),
      running: members.filter((row) => row.container.state === 'running').length,
      variants: variants(members),
    }));
}

function variants(rows: Row[]): Variant[] {
  const hosts = new Map<string, string[]>();
  for (const { host, container } of rows) {
    const others = hosts.get(container.imageId);
    if (others) others.push(host);
    else hosts.set(container.imageId, [host]);
  }
  return [...hosts]
    .map(([imageId, names]) => ({ imageId, hosts: names }))
    .sort((a, b) => b.hosts.length - a.hosts.length || (a.imageId < b.imageId ? -1 : 1));
}

/** The lines of a list, without the containers of closed groups. */
export function flatten(groups: Group[], by: Grouping, closed: ReadonlySet<string>): Item[] {
  const items: Item[] = [];
  for (const each of groups) {
    items.push({ kind: 'group', key: `group/${each.title}`, group: each });
    if (closed.has(each.title)) continue;
    // The image on most hosts is the one from which the others differ; if none is, all of them do.
    const [first, second] = each.variants;
    const usual = first && first.hosts.length > (second?.hosts.length ?? 0) ? first.imageId : undefined;
    for (const row of each.rows) {
      const differs = by === 'name' && each.variants.length > 1 && row.container.imageId !== usual;
      items.push({ kind: 'row', key: row.key, row, differs });
    }
  }
  return items;
}
