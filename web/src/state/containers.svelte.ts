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
  /** In no order. */
  rows = $state.raw<Row[]>([]);
  /** Hosts that are not live, with what is known of them. */
  stale = $state.raw<{ host: string; state: ViewState }[]>([]);
  /** Number of hosts of the watch. */
  hosts = $state(0);
  readonly watch: Watch<WatchContainersResponse>;

  private readonly known = new Map<string, Map<string, Row>>();
  private readonly states = new Map<string, ViewState>();
  private cursor: ViewCursor | undefined;
  private readonly publish = throttle(() => this.show(), 150);

  constructor() {
    const targets = { selection: { case: 'all' as const, value: {} } };
    this.watch = new Watch(
      (signal) => service.watchContainers({ targets, all: true, after: this.cursor }, { signal }),
      (message) => this.take(message),
    );
  }

  stop(): void {
    this.watch.stop();
  }

  private show(): void {
    const rows: Row[] = [];
    for (const containers of this.known.values()) for (const row of containers.values()) rows.push(row);
    this.rows = rows;
    this.hosts = this.known.size;
    this.stale = [...this.states]
      .filter(([, state]) => state.sync === ViewSync.STALE || state.sync === ViewSync.UNREACHABLE)
      .map(([host, state]) => ({ host, state }))
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  private take(message: WatchContainersResponse): void {
    const { event, host } = message;
    switch (event.case) {
      case 'hosts': {
        const hosts = new Set(event.value.hosts);
        for (const gone of [...this.known.keys()].filter((name) => !hosts.has(name))) {
          this.known.delete(gone);
          this.states.delete(gone);
        }
        for (const name of hosts) if (!this.known.has(name)) this.known.set(name, new Map());
        break;
      }
      case 'reset':
        this.known.set(host, new Map());
        break;
      case 'changed': {
        const rows = this.known.get(host) ?? new Map<string, Row>();
        this.known.set(host, rows);
        const heard = Date.now();
        for (const container of event.value.containers) {
          rows.set(container.id, { key: `${host}/${container.id}`, host, container, heard });
        }
        break;
      }
      case 'removed':
        for (const id of event.value.ids) this.known.get(host)?.delete(id);
        break;
      case 'state':
        this.states.set(host, event.value);
        break;
    }
    if (message.cursor) this.cursor = message.cursor;
    this.publish();
  }
}
