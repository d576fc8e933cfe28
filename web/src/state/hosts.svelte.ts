// The inventory, live: which hosts there are, and whether they answer.

import { ViewSync, type ViewCursor } from '../gen/wharf/v1/common_pb';
import type { Host, HostStatus, HostViewState, WatchHostsResponse } from '../gen/wharf/v1/hosts_pb';
import { hosts as service } from '../lib/client';
import { type Problem, problemOfStatus } from '../lib/problem';
import { throttle } from '../lib/throttle';
import { Watch } from '../lib/watch.svelte';

export interface HostRow {
  name: string;
  host: Host;
  view?: HostViewState;
  /** From the last check; kept while a host does not answer. */
  status?: HostStatus;
  /** Why the last check failed. */
  trouble?: Problem;
  checked: number;
}

/** Follows the inventory until `stop`. */
export class HostWatch {
  /** Sorted by name. */
  rows = $state.raw<HostRow[]>([]);
  readonly watch: Watch<WatchHostsResponse>;

  private readonly known = new Map<string, HostRow>();
  private cursor: ViewCursor | undefined;
  private checking: AbortController | undefined;
  private readonly publish = throttle(() => {
    this.rows = [...this.known.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  });
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly checkSoon = throttle(() => void this.check(), 300);

  constructor() {
    this.watch = new Watch(
      (signal) => service.watchHosts({ after: this.cursor }, { signal }),
      (message) => this.take(message),
    );
    this.timer = setInterval(() => {
      if (!document.hidden) void this.check();
    }, 20_000);
  }

  stop(): void {
    clearInterval(this.timer);
    this.checking?.abort();
    this.watch.stop();
  }

  /** Asks every Engine for its version and numbers; one that does not answer delays only its own row. */
  async check(): Promise<void> {
    this.checking?.abort();
    const checking = new AbortController();
    this.checking = checking;
    try {
      const targets = { selection: { case: 'all' as const, value: {} } };
      for await (const message of service.checkHosts({ targets }, { signal: checking.signal })) {
        const row = this.known.get(message.host);
        if (!row) continue;
        const { event } = message;
        if (event.case === 'status') {
          this.known.set(row.name, { ...row, status: event.value, trouble: undefined, checked: Date.now() });
        } else if (event.case === 'outcome') {
          const trouble = problemOfStatus(event.value.status);
          if (trouble) this.known.set(row.name, { ...row, trouble, checked: Date.now() });
        }
        this.publish();
      }
    } catch {
      // The watch says what is wrong with the connection.
    }
  }

  private take(message: WatchHostsResponse): void {
    const { event } = message;
    switch (event.case) {
      case 'reset':
        this.known.clear();
        break;
      case 'host': {
        const row = this.known.get(event.value.name);
        this.known.set(event.value.name, { checked: 0, ...row, name: event.value.name, host: event.value });
        if (!row) this.checkSoon();
        break;
      }
      case 'removed':
        this.known.delete(event.value);
        break;
      case 'state': {
        const row = this.known.get(event.value.host);
        if (row) {
          this.known.set(row.name, { ...row, view: event.value });
          if (row.view && row.view.state?.sync !== event.value.state?.sync) this.checkSoon();
        }
        break;
      }
    }
    if (message.cursor) this.cursor = message.cursor;
    this.publish();
  }
}

export type Health = 'good' | 'bad' | 'warn' | 'unknown';

/** The state of a host in words, and how good it is. */
export function hostState(row: HostRow): { word: string; health: Health; why: string } {
  const sync = row.view?.state?.sync;
  const why = problemOfStatus(row.view?.trouble) ?? row.trouble;
  const reason = why ? why.message : '';
  if (sync === ViewSync.UNREACHABLE) return { word: 'unreachable', health: 'bad', why: reason };
  if (row.trouble && row.checked > 0) return { word: 'failed', health: 'bad', why: row.trouble.message };
  if (sync === ViewSync.STALE) return { word: 'not live', health: 'warn', why: reason };
  if (sync === ViewSync.LIVE || row.status) return { word: 'reachable', health: 'good', why: '' };
  if (sync === ViewSync.RESYNCING) return { word: 'reading', health: 'unknown', why: '' };
  return { word: 'connecting', health: 'unknown', why: reason };
}
