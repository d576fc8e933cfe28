// Containers in groups, and what differs inside of them, kept in order while containers change: a change
// costs the search for its place, however many containers there are. Pure.

import type { Row } from '../state/containers.svelte';

export type Grouping = 'name' | 'host';

/** One image of a group, and on how many of its containers. */
export interface Variant {
  imageId: string;
  containers: number;
}

/** The title of a group, as it was when the lines were laid out. */
export interface Title {
  kind: 'group';
  key: string;
  title: string;
  rows: readonly Row[];
  running: number;
  /** By number of containers; more than one in a group by name means that hosts differ. */
  variants: Variant[];
}

/** What a list shows: the title of a group, or a container in it. */
export type Item = Title | { kind: 'row'; key: string; row: Row; differs: boolean };

/** Lines of a list that are made when they are in sight. They are valid until the next change. */
export interface Lines {
  length: number;
  at(index: number): Item | undefined;
  /** Groups with more than one image, if groups are of one name. */
  differing: number;
}

/** Names that rollouts give to containers that they keep for an undo, or have put aside. */
const KEPT = /\.(old|new|bad)-[0-9a-f]{8}$/;

export function isKept(name: string): boolean {
  return KEPT.test(name);
}

/** What a search looks into, once for each row: rows never change, they are replaced. */
const texts = new WeakMap<Row, string>();

function textOf(row: Row): string {
  let text = texts.get(row);
  if (text === undefined) {
    const { host, container } = row;
    const labels = Object.entries(container.labels).map(([key, value]) => `${key}=${value}`);
    text = [host, container.name, container.image, container.id, container.state, ...labels].join('\n').toLowerCase();
    texts.set(row, text);
  }
  return text;
}

/** Whether a search finds a container: each word in the name, host, image, ID, or a label. */
export function search(text: string): (row: Row) => boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) => words.length === 0 || words.every((word) => textOf(row).includes(word));
}

/** The place of the first entry that is not before, in a sorted list. */
function place<T>(list: readonly T[], isBefore: (entry: T) => boolean): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(list[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Group {
  readonly rows: Row[] = [];
  running = 0;
  readonly images = new Map<string, number>();
  private sorted: Variant[] | undefined;

  constructor(readonly title: string) {}

  count({ container }: Row, by: 1 | -1): void {
    if (container.state === 'running') this.running += by;
    const left = (this.images.get(container.imageId) ?? 0) + by;
    if (left) this.images.set(container.imageId, left);
    else this.images.delete(container.imageId);
    this.sorted = undefined;
  }

  variants(): Variant[] {
    this.sorted ??= [...this.images]
      .map(([imageId, containers]) => ({ imageId, containers }))
      .sort((a, b) => b.containers - a.containers || (a.imageId < b.imageId ? -1 : 1));
    return this.sorted;
  }

  /** The image on most hosts is the one from which the others differ; if none is, all of them do. */
  usual(): string | undefined {
    const [first, second] = this.variants();
    return first && first.containers > (second?.containers ?? 0) ? first.imageId : undefined;
  }
}

/** The wanted containers in groups, both in the order of their names. */
export class Groups {
  total = 0;
  running = 0;
  private readonly sorted: Group[] = [];
  private readonly byTitle = new Map<string, Group>();

  constructor(readonly by: Grouping, private readonly wanted: (row: Row) => boolean = () => true) {}

  /** Takes the place of a container's earlier row, if there is one, by its new one, if there still is one. */
  replace(before: Row | undefined, after: Row | undefined): void {
    if (before) this.remove(before);
    if (after && this.wanted(after)) this.insert(after);
  }

  /** The lines as they are now, without the containers of closed groups. */
  lines(closed: ReadonlySet<string>, onlyDifferences = false): Lines {
    const compared = this.by === 'name';
    const shown: Group[] = [];
    const starts: number[] = [];
    let [length, differing] = [0, 0];
    for (const group of this.sorted) {
      if (compared && group.images.size > 1) differing += 1;
      else if (compared && onlyDifferences) continue;
      shown.push(group);
      starts.push(length);
      length += 1 + (closed.has(group.title) ? 0 : group.rows.length);
    }
    const at = (index: number): Item | undefined => {
      if (index < 0 || index >= length) return undefined;
      const number = place(starts, (start) => start <= index) - 1;
      const group = shown[number] as Group;
      const inside = index - (starts[number] as number);
      if (inside === 0) {
        const { title, rows, running } = group;
        return { kind: 'group', key: `group/${title}`, title, rows, running, variants: group.variants() };
      }
      const row = group.rows[inside - 1];
      if (!row) return undefined;
      const differs = compared && group.images.size > 1 && row.container.imageId !== group.usual();
      return { kind: 'row', key: row.key, row, differs };
    };
    return { length, at, differing };
  }

  private title({ host, container }: Row): string {
    return this.by === 'name' ? container.name : host;
  }

  private insert(row: Row): void {
    const title = this.title(row);
    let group = this.byTitle.get(title);
    if (!group) {
      group = new Group(title);
      this.byTitle.set(title, group);
      this.sorted.splice(place(this.sorted, (each) => each.title < title), 0, group);
    }
    const index = this.find(group, row);
    // A row that is there already is replaced: two of one container would be two lines with one key.
    if (group.rows[index]?.key === row.key) this.remove(row);
    if (!this.byTitle.has(title)) return this.insert(row);
    group.rows.splice(index, 0, row);
    this.tally(group, row, 1);
  }

  private remove(row: Row): void {
    const group = this.byTitle.get(this.title(row));
    if (!group) return;
    const index = this.find(group, row);
    const found = group.rows[index];
    if (found?.key !== row.key) return;
    group.rows.splice(index, 1);
    this.tally(group, found, -1);
    if (group.rows.length) return;
    this.byTitle.delete(group.title);
    this.sorted.splice(place(this.sorted, (each) => each.title < group.title), 1);
  }

  private tally(group: Group, row: Row, by: 1 | -1): void {
    group.count(row, by);
    this.total += by;
    if (row.container.state === 'running') this.running += by;
  }

  /** Where a row is in its group, or would be. */
  private find(group: Group, row: Row): number {
    const name = this.by === 'name' ? row.host : row.container.name;
    const nameOf = this.by === 'name' ? (each: Row) => each.host : (each: Row) => each.container.name;
    return place(group.rows, (each) => {
      const other = nameOf(each);
      return other < name || (other === name && each.key < row.key);
    });
  }
}
