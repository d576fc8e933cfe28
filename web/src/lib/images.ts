// What is done with images: the calls, and how each host ended.

import type { HostOutcome, HostSelectorSchema } from '../gen/wharf/v1/common_pb';
import type { Image, TransferProgress } from '../gen/wharf/v1/images_pb';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HostMessage } from './calls';
import { images as service } from './client';
import { quoted } from './draft';
import { problemOfStatus, reasonOf } from './problem';
import { bytes } from './time';

export type ImageVerb = 'pull' | 'prune' | 'send';

export interface Work {
  verb: ImageVerb;
  image: string;
  /** The host that has the image, for `send`. */
  source: string;
  /** Also images with a name, for `prune`. */
  named: boolean;
  /** Labels of hosts; empty: all. */
  labels: string;
}

/** The name of an image, or what it has instead. */
export function imageName(image: Image): string {
  return image.repoTags[0] ?? image.repoDigests[0] ?? '<none>';
}

/** The same as a command. */
export function imageCommand(work: Work): string {
  const targets = work.labels ? ['-l', work.labels] : ['-A'];
  const words = {
    pull: ['wharf', 'pull', ...targets, work.image],
    prune: ['wharf', 'image', 'prune', ...(work.named ? ['-a'] : []), ...targets],
    send: ['wharf', 'image', 'send', work.image, '--from', work.source, ...targets],
  }[work.verb];
  return words.map(quoted).join(' ');
}

/** Does it. `report` gets each host with what it does, and `true` once it has ended well or badly. */
export async function work(task: Work, report: (host: string, text: string, ended?: 'good' | 'bad') => void): Promise<void> {
  const last = new Map<string, string>();
  for await (const { host, event } of send(task)) {
    switch (event.case) {
      case 'started':
        for (const each of (event.value as { hosts: string[] }).hosts) report(each, '…');
        break;
      case 'progress': {
        const progress = event.value as TransferProgress;
        report(host, progress.bytesTotal ? `${bytes(progress.bytesDone)} of ${bytes(progress.bytesTotal)}` : progress.status);
        break;
      }
      case 'pruned': {
        const pruned = event.value as { deleted: string[]; untagged: string[]; spaceReclaimedBytes: bigint };
        last.set(host, `${pruned.untagged.length + pruned.deleted.length} removed, ${bytes(pruned.spaceReclaimedBytes)} freed`);
        break;
      }
      case 'outcome': {
        const outcome = event.value as HostOutcome;
        const problem = problemOfStatus(outcome.status);
        const good = last.get(host) ?? (outcome.changed ? 'done' : 'no change needed');
        report(host, problem ? problem.message + reasonOf(problem) : good, problem ? 'bad' : 'good');
        break;
      }
    }
  }
}

function send({ verb, image, source, named, labels }: Work): AsyncIterable<HostMessage> {
  const targets: MessageInitShape<typeof HostSelectorSchema> = labels
    ? { selection: { case: 'labels', value: labels } }
    : { selection: { case: 'all', value: {} } };
  const requestId = crypto.randomUUID();
  // Failed hosts are in the list; the status would only repeat that there are some.
  const fanout = { allowPartial: true };
  switch (verb) {
    case 'pull': return service.pullImage({ targets, fanout, requestId, reference: image });
    case 'prune': return service.pruneImages({ targets, fanout, requestId, all: named });
    case 'send': return service.sendImage({ targets, fanout, requestId, image, sourceHost: source });
  }
}
