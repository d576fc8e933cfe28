// The tags that a registry has of the repository that somebody is entering. They are an offer: while they are
// on their way, and without them, the field works as any other.

import { registries as service } from '../lib/client';
import { problemOf } from '../lib/problem';
import { repositoryOf } from '../lib/repository';
import { session } from '../lib/session.svelte';
import { count, line } from '../lib/text';

/** Nobody has pressed a key for so many milliseconds: what is there may be a whole name. */
const PAUSE = 600;
const LIMIT = { timeoutMs: 30_000 };

export class RegistryTags {
  /** `REPOSITORY:TAG`, the newest version first. */
  references = $state.raw<string[]>([]);
  /** What there is, in words; empty without any. */
  found = $state('');
  /** Why there are none; nothing to be alarmed about. */
  trouble = $state('');

  private repository = '';
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | undefined;

  stop(): void {
    clearTimeout(this.timer);
    this.asking?.abort();
  }

  /** Asks for the tags of an image that is being entered, once for each repository. */
  ask(image: string): void {
    const repository = repositoryOf(image) ?? '';
    // Whoever may not start a rollout may not ask either.
    if (repository === this.repository || !session.canOperate) return;
    this.stop();
    this.repository = repository;
    this.references = [];
    this.found = '';
    this.trouble = '';
    if (repository) this.timer = setTimeout(() => void this.load(repository), PAUSE);
  }

  private async load(repository: string): Promise<void> {
    const asking = new AbortController();
    this.asking = asking;
    try {
      const { tags, total } = await service.listTags({ repository }, { ...LIMIT, signal: asking.signal });
      if (asking.signal.aborted) return;
      this.references = tags.map((tag) => `${repository}:${tag}`);
      this.found = `${count(total, 'tag')} of ${line(repository, 100)} in the registry`;
    } catch (error) {
      if (!asking.signal.aborted) this.trouble = `No tags from the registry: ${problemOf(error).message}`;
    }
  }
}
