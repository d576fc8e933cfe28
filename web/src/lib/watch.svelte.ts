// A stream that stays open: it connects again by its cursor, ends while nobody looks at the tab, and
// notices a connection that has gone silent.

import { isPassing, isSignedOut, problemOf } from './problem';
import { session } from './session.svelte';

/** The server sends a heartbeat after 15 seconds; twice that, and the connection is broken. */
const SILENCE = 40_000;
/** Between attempts, in milliseconds. */
const PAUSES = [300, 1000, 2000, 5000, 10_000];
/** How long a hidden tab keeps its stream. */
const HIDDEN = 5_000;

export type Line = 'connecting' | 'live' | 'broken' | 'asleep' | 'ended' | 'failed';

/** Follows a stream until `stop`. `open` is called for each attempt, and continues where `take` came to. */
export class Watch<M> {
  line = $state<Line>('connecting');
  /** Why the line is broken, or failed for good. */
  problem = $state('');
  /** When the last message came, in milliseconds since 1970; 0 before the first. */
  heard = $state(0);

  private stopped = false;
  private attempt: AbortController | undefined;
  private wake: (() => void) | undefined;
  private hiding: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly open: (signal: AbortSignal) => AsyncIterable<M>,
    private readonly take: (message: M) => void,
  ) {
    document.addEventListener('visibilitychange', this.look);
    void this.run();
  }

  stop(): void {
    this.stopped = true;
    document.removeEventListener('visibilitychange', this.look);
    clearTimeout(this.hiding);
    this.attempt?.abort();
    this.wake?.();
  }

  private readonly look = (): void => {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => this.attempt?.abort(), HIDDEN);
    } else {
      this.wake?.();
    }
  };

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopped) {
      if (document.hidden) {
        this.line = 'asleep';
        await this.pause();
        continue;
      }
      const before = this.heard;
      const ended = await this.once();
      if (this.stopped) return;
      if (ended) {
        this.line = ended;
        return;
      }
      if (document.hidden) continue;
      failures = this.heard > before ? 0 : failures + 1;
      this.line = 'broken';
      await this.pause(PAUSES[Math.min(failures, PAUSES.length - 1)]);
    }
  }

  /** One attempt; how it ended, if it ended for good. */
  private async once(): Promise<'ended' | 'failed' | undefined> {
    const attempt = new AbortController();
    this.attempt = attempt;
    let watchdog = setTimeout(() => attempt.abort(), SILENCE);
    try {
      for await (const message of this.open(attempt.signal)) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => attempt.abort(), SILENCE);
        this.heard = Date.now();
        this.line = 'live';
        this.problem = '';
        this.take(message);
      }
      return 'ended';
    } catch (error) {
      if (attempt.signal.aborted) {
        this.problem = 'no sign of life from the server';
        return undefined;
      }
      this.problem = problemOf(error).message;
      if (isSignedOut(error)) session.lost();
      return isPassing(error) ? undefined : 'failed';
    } finally {
      clearTimeout(watchdog);
    }
  }

  private pause(milliseconds?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = milliseconds === undefined ? undefined : setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
