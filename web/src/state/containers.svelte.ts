// The containers of all hosts, live.

import { ViewSync, type ViewCursor, type ViewState } from '../gen/wharf/v1/common_pb';
import type { Container, WatchContainersResponse } from '../gen/wharf/v1/containers_pb';
import { containers as service } from '../lib/client';
import { throttle } from '../lib/throttle';
import { Watch } from '../lib/watch.svelte';

export interface Row {
  /** `HOST/ID`. */
  key: string;
  host: string;
  container: Container;
  /** When it was sent, in milliseconds since 1970. */
  heard: number;
}

/** Follows the containers of all hosts, also those that do not run, until `stop`. */
export class ContainerWatch {
  /** Grows with what there is to show; `all` and `get` are what there is now. */
  revision = $state(0);
  /** Hosts that are not live, with what is known of them. */
  stale = $state.raw<{ host: string; state: ViewState }[]>([]);
  /** Number of hosts of the watch. */
  hosts = $state(0);
  readonly watch: Watch<WatchContainersResponse>;

  private readonly known = new Map<string, Map<string, Row>>();
  private readonly states = new Map<string, ViewState>();
  /** What was shown of the containers that have changed since. */
  private readonly changed = new Map<string, Row | undefined>();
  private statesChanged = false;
  private cursor: ViewCursor | undefined;
  private readonly publish = throttle(() => this.show(), 150);

  /** `replaced` is called for each container that has changed, before it is shown. */
  constructor(private readonly replaced: (before: Row | undefined, after: Row | undefined) => void) {
    const targets = { selection: { case: 'all' as const, value: {} } };
    this.watch = new Watch(
      (signal) => service.watchContainers({ targets, all: true, after: this.cursor }, { signal }),
      (message) => this.take(message),
    );
  }

  stop(): void {
    this.watch.stop();
  }

  /** All containers, in no order. */
  *all(): Generator<Row> {
    for (const containers of this.known.values()) yield* containers.values();
  }

  get(key: string): Row | undefined {
    const slash = key.lastIndexOf('/');
    return this.known.get(key.slice(0, slash))?.get(key.slice(slash + 1));
  }

  private show(): void {
    for (const [key, before] of this.changed) this.replaced(before, this.get(key));
    this.changed.clear();
    this.revision += 1;
    this.hosts = this.known.size;
    if (!this.statesChanged) return;
    this.statesChanged = false;
    this.stale = [...this.states]
      .filter(([, state]) => state.sync === ViewSync.STALE || state.sync === ViewSync.UNREACHABLE)
      .map(([host, state]) => ({ host, state }))
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** To be called before a container changes. */
  private note(host: string, id: string): void {
    const key = `${host}/${id}`;
    if (!this.changed.has(key)) this.changed.set(key, this.get(key));
  }

  private noteAll(host: string): void {
    for (const id of this.known.get(host)?.keys() ?? []) this.note(host, id);
  }

  private take(message: WatchContainersResponse): void {
    const { event, host } = message;
    switch (event.case) {
      case 'hosts': {
        const hosts = new Set(event.value.hosts);
        for (const gone of [...this.known.keys()].filter((name) => !hosts.has(name))) {
          this.noteAll(gone);
          this.known.delete(gone);
          this.statesChanged = this.states.delete(gone) || this.statesChanged;
        }
        for (const name of hosts) if (!this.known.has(name)) this.known.set(name, new Map());
        break;
      }
      case 'reset':
        this.noteAll(host);
        this.known.set(host, new Map());
        break;
      case 'changed': {
        const rows = this.known.get(host) ?? new Map<string, Row>();
        this.known.set(host, rows);
        const heard = Date.now();
        for (const container of event.value.containers) {
          this.note(host, container.id);
          rows.set(container.id, { key: `${host}/${container.id}`, host, container, heard });
        }
        break;
      }
      case 'removed':
        for (const id of event.value.ids) {
          this.note(host, id);
          this.known.get(host)?.delete(id);
        }
        break;
      case 'state':
        this.states.set(host, event.value);
        this.statesChanged = true;
        break;
    }
    if (message.cursor) this.cursor = message.cursor;
    this.publish();
  }
}
