// One rollout, live, or all of them.

import { create } from '@bufbuild/protobuf';
import type { TransferProgress } from '../gen/wharf/v1/images_pb';
import {
  type Rollout, RolloutSchema, type RolloutPlanHost, type RolloutStep, type WatchCursor,
  type WatchRolloutsResponse,
} from '../gen/wharf/v1/rollouts_pb';
import { QUICK, rollouts as service } from '../lib/client';
import { problemOf } from '../lib/problem';
import { throttle } from '../lib/throttle';
import { Watch } from '../lib/watch.svelte';

/** Follows one rollout until it ends, or until `stop`. */
export class RolloutWatch {
  rollout = $state.raw<Rollout | undefined>();
  /** By host, waves first. */
  steps = $state.raw<RolloutStep[]>([]);
  plan = $state.raw<RolloutPlanHost[]>([]);
  /** By host, while they pull. */
  pulls = $state.raw<ReadonlyMap<string, TransferProgress>>(new Map());
  readonly watch: Watch<WatchRolloutsResponse>;

  private current: Rollout | undefined;
  private readonly hosts = new Map<string, RolloutStep>();
  private readonly planned = new Map<string, RolloutPlanHost>();
  private readonly pulling = new Map<string, TransferProgress>();
  private cursor: WatchCursor | undefined;
  private readonly publish = throttle(() => this.show(), 80);

  constructor(id: string) {
    this.watch = new Watch(
      (signal) => service.watchRollouts({ id, after: this.cursor, progress: true }, { signal }),
      (message) => this.take(message),
    );
  }

  stop(): void {
    this.watch.stop();
  }

  private show(): void {
    this.rollout = this.current;
    this.steps = [...this.hosts.values()];
    this.plan = [...this.planned.values()];
    this.pulls = new Map(this.pulling);
  }

  private take(message: WatchRolloutsResponse): void {
    const { event } = message;
    switch (event.case) {
      case 'snapshot': {
        this.current = event.value.rollouts[0];
        this.hosts.clear();
        this.planned.clear();
        for (const step of this.current?.steps ?? []) this.hosts.set(step.host, step);
        for (const host of this.current?.plan?.hosts ?? []) this.planned.set(host.host, host);
        break;
      }
      case 'planPart':
        for (const host of event.value.hosts) this.planned.set(host.host, host);
        break;
      case 'rollout':
        // Changes come without what stays the same.
        this.current = create(RolloutSchema, {
          ...event.value, policy: this.current?.policy, plan: this.current?.plan,
        });
        break;
      case 'step':
        if (event.value.step) this.hosts.set(event.value.step.host, event.value.step);
        break;
      case 'pullProgress':
        if (event.value.progress) this.pulling.set(event.value.host, event.value.progress);
        break;
    }
    if (message.cursor) this.cursor = message.cursor;
    this.publish();
  }
}

/** The list of rollouts: those that are stored, page by page, and what changes meanwhile. */
export class RolloutList {
  /** Newest first. */
  rows = $state.raw<Rollout[]>([]);
  more = $state(false);
  problem = $state('');
  readonly watch: Watch<WatchRolloutsResponse>;

  private readonly known = new Map<string, Rollout>();
  private token = '';
  private cursor: WatchCursor | undefined;
  private readonly publish = throttle(() => {
    const newestFirst = (a: Rollout, b: Rollout) =>
      Number((b.createdAt?.seconds ?? 0n) - (a.createdAt?.seconds ?? 0n)) || (a.id < b.id ? -1 : 1);
    this.rows = [...this.known.values()].sort(newestFirst);
  });

  constructor() {
    this.watch = new Watch(
      (signal) => service.watchRollouts({ after: this.cursor }, { signal }),
      (message) => {
        const { event } = message;
        if (event.case === 'snapshot') {
          for (const each of event.value.rollouts) this.known.set(each.id, each);
          // It has only those in progress: what has ended since is in the list.
          this.token = '';
          void this.load();
        }
        if (event.case === 'rollout') this.known.set(event.value.id, event.value);
        if (message.cursor) this.cursor = message.cursor;
        this.publish();
      },
    );
  }

  stop(): void {
    this.watch.stop();
  }

  /** The next page. */
  async load(): Promise<void> {
    try {
      const page = await service.listRollouts({ pageSize: 200, pageToken: this.token }, QUICK);
      for (const each of page.rollouts) {
        const known = this.known.get(each.id);
        if (!known || known.revision < each.revision) this.known.set(each.id, each);
      }
      this.token = page.nextPageToken;
      this.more = page.nextPageToken !== '';
      this.problem = '';
      this.publish();
    } catch (error) {
      this.problem = problemOf(error).message;
    }
  }
}
