// A rollout in words: its state, what may be asked of it, and where each host stands. Pure.

import {
  HostState, HostStep, PauseCause, type Rollout, RolloutState, type RolloutStep,
} from '../gen/wharf/v1/rollouts_pb';
import { problemOfStatus } from './problem';
import { count } from './text';

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'quiet';

const STATES: Record<RolloutState, [string, Tone]> = {
  [RolloutState.UNSPECIFIED]: ['unknown', 'quiet'],
  [RolloutState.PULLING]: ['getting the image', 'busy'],
  [RolloutState.RUNNING]: ['running', 'busy'],
  [RolloutState.BAKING]: ['watching the wave', 'busy'],
  [RolloutState.PAUSED]: ['paused', 'warn'],
  [RolloutState.ROLLING_BACK]: ['rolling back', 'warn'],
  [RolloutState.ABORTING]: ['aborting', 'warn'],
  [RolloutState.SUCCEEDED]: ['succeeded', 'good'],
  [RolloutState.FAILED]: ['failed', 'bad'],
  [RolloutState.ROLLED_BACK]: ['rolled back', 'bad'],
  [RolloutState.ABORTED]: ['aborted', 'bad'],
};

export function stateWord(state: RolloutState): string {
  return STATES[state][0];
}

export function stateTone(state: RolloutState): Tone {
  return STATES[state][1];
}

export function isOver(state: RolloutState): boolean {
  return [RolloutState.SUCCEEDED, RolloutState.FAILED, RolloutState.ROLLED_BACK, RolloutState.ABORTED].includes(state);
}

/** `web to app:v2`; for an undo, `web, undo of 1a2b3c4d`. */
export function subject(rollout: Rollout): string {
  if (rollout.undoOf) return `${rollout.container}, undo of ${rollout.undoOf.slice(0, 8)}`;
  if (!rollout.image) return `${rollout.container}, settings only`;
  const from = rollout.imageFrom ? ` from ${rollout.imageFrom}` : '';
  return `${rollout.container} to ${rollout.image}${from}`;
}

/** The state in one sentence. */
export function sentence(rollout: Rollout): string {
  const counts = rollout.counts;
  const total = counts?.total ?? 0;
  const done = `${counts?.succeeded ?? 0} of ${count(total, 'host')}`;
  const failed = counts?.failed ? `, ${count(counts.failed, 'host')} failed` : '';
  const version = rollout.undoOf ? 'the previous version' : 'the new version';
  switch (rollout.state) {
    case RolloutState.PULLING: return `The hosts get the image; no container has changed${failed}.`;
    case RolloutState.RUNNING: return `${done} on ${version}${failed}.`;
    case RolloutState.BAKING: return `Wave ${rollout.wave} is done and is watched; ${done} on ${version}${failed}.`;
    case RolloutState.PAUSED: return `Paused: ${PAUSES[rollout.pauseCause]}. ${done} on ${version}${failed}.`;
    case RolloutState.ROLLING_BACK: return `The previous containers come back${failed}.`;
    case RolloutState.ABORTING: return `No further host starts; hosts in progress finish${failed}.`;
    case RolloutState.SUCCEEDED:
      return total === 0 ? 'Nothing to do: no host needed a change.' : `${total === 1 ? 'The host is' : `All ${count(total, 'host')} are`} on ${version}${failed}.`;
    case RolloutState.FAILED: return `${done} on ${version}${failed}.`;
    case RolloutState.ROLLED_BACK: return `Every host that it changed has its previous container again${failed}.`;
    case RolloutState.ABORTED: return `Stopped before the last host; ${done} on ${version}${failed}.`;
    default: return '';
  }
}

const PAUSES: Record<PauseCause, string> = {
  [PauseCause.UNSPECIFIED]: 'for a reason that this page does not know',
  [PauseCause.USER]: 'somebody asked for it',
  [PauseCause.BUDGET]: 'more hosts failed than the policy tolerates',
  [PauseCause.PROMOTION]: 'the canary succeeded and waits to be promoted',
  [PauseCause.PROGRESS]: 'no host finished within the time limit',
  [PauseCause.UNREACHABLE]: 'too many hosts do not answer',
  [PauseCause.NEEDS_ATTENTION]: 'a host could not be restored and needs a person',
};

/** Why it stopped, or does not move; empty in normal operation. */
export function whyStopped(rollout: Rollout): string {
  return problemOfStatus(rollout.reason)?.message ?? rollout.reason?.message ?? '';
}

export type Order = 'promote' | 'pause' | 'resume' | 'retry' | 'abort' | 'undo';

/** What the server accepts now; `server/src/rollout/control.rs` has the table. */
export function orders(rollout: Rollout): Order[] {
  const { state, pauseCause, counts } = rollout;
  if (isOver(state)) return counts?.succeeded ? ['undo'] : [];
  switch (state) {
    case RolloutState.PAUSED: {
      if (pauseCause === PauseCause.PROMOTION) return ['promote', 'abort'];
      return counts?.failed ? ['retry', 'resume', 'abort'] : ['resume', 'abort'];
    }
    case RolloutState.ABORTING: return [];
    default: return ['pause', 'abort'];
  }
}

/** How the buttons are called, and what pressing them does. */
export const ORDERS: Record<Order, { label: string; effect: string; flag: string }> = {
  promote: { label: 'Promote', effect: 'The canary is good: the next wave starts.', flag: 'promote' },
  pause: { label: 'Pause', effect: 'No further host starts; hosts in progress finish.', flag: 'pause' },
  resume: { label: 'Resume', effect: 'It continues with the next host; failed hosts stay as they are.', flag: 'resume' },
  retry: { label: 'Retry failed', effect: 'Failed hosts are tried again, and then it continues.', flag: 'resume --retry-failed' },
  abort: { label: 'Abort', effect: 'It stops at the next safe point and leaves finished hosts on the new version.', flag: 'abort' },
  undo: { label: 'Undo', effect: 'A new rollout brings the previous containers back.', flag: 'undo' },
};

/** The same order on the command line. */
export function orderCommand(order: Order, rollout: Rollout): string {
  const [verb, ...flags] = ORDERS[order].flag.split(' ');
  return ['wharf rollout', verb, rollout.id.slice(0, 8), ...flags].join(' ');
}

/** In which row a host is drawn, and how. */
export interface Place {
  row: 'old' | 'new' | 'none';
  mark: 'waiting' | 'busy' | 'done' | 'failed' | 'skipped';
}

const PLACES: Record<HostState, Place> = {
  [HostState.UNSPECIFIED]: { row: 'old', mark: 'waiting' },
  [HostState.WAITING]: { row: 'old', mark: 'waiting' },
  [HostState.PULLING]: { row: 'old', mark: 'waiting' },
  [HostState.PULLED]: { row: 'old', mark: 'waiting' },
  [HostState.UPDATING]: { row: 'new', mark: 'busy' },
  [HostState.RESTORING]: { row: 'old', mark: 'busy' },
  [HostState.ROLLING_BACK]: { row: 'old', mark: 'busy' },
  [HostState.UNREACHABLE]: { row: 'old', mark: 'failed' },
  [HostState.UPDATED]: { row: 'new', mark: 'done' },
  [HostState.RESTORED]: { row: 'old', mark: 'failed' },
  [HostState.ROLLED_BACK]: { row: 'old', mark: 'done' },
  [HostState.UNCHANGED]: { row: 'old', mark: 'failed' },
  [HostState.SKIPPED]: { row: 'none', mark: 'skipped' },
  [HostState.NEEDS_ATTENTION]: { row: 'old', mark: 'failed' },
};

export function placeOf(step: RolloutStep): Place {
  return PLACES[step.state];
}

const HOST_STATES: Record<HostState, string> = {
  [HostState.UNSPECIFIED]: 'unknown',
  [HostState.WAITING]: 'waiting',
  [HostState.PULLING]: 'getting the image',
  [HostState.PULLED]: 'has the image',
  [HostState.UPDATING]: 'updating',
  [HostState.RESTORING]: 'failed, restoring',
  [HostState.ROLLING_BACK]: 'rolling back',
  [HostState.UNREACHABLE]: 'does not answer',
  [HostState.UPDATED]: 'updated',
  [HostState.RESTORED]: 'failed, restored',
  [HostState.ROLLED_BACK]: 'rolled back',
  [HostState.UNCHANGED]: 'failed, unchanged',
  [HostState.SKIPPED]: 'skipped',
  [HostState.NEEDS_ATTENTION]: 'needs a person',
};

export function hostWord(step: RolloutStep): string {
  return step.notStarted ? `${HOST_STATES[step.state]}, not started` : HOST_STATES[step.state];
}

/** `stop old`, with the dependent that it is about; empty if no step is in progress. */
export function stepWord(step: RolloutStep): string {
  if (step.step === HostStep.UNSPECIFIED || placeOf(step).mark !== 'busy') return '';
  const word = stepName(step.step);
  return step.dependent ? `${word} of ${step.dependent}` : word;
}

export function stepName(step: HostStep): string {
  return step === HostStep.UNSPECIFIED ? '' : HostStep[step].toLowerCase().replaceAll('_', ' ');
}

/** What a host has to say: its error, why it was skipped, or the last probe. */
export function hostStatus(step: RolloutStep): string {
  return step.status?.message || step.health;
}
