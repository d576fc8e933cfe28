import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { HostState, PauseCause, RolloutSchema, RolloutState, RolloutStepSchema } from '../gen/wharf/v1/rollouts_pb';
import { hostWord, orderCommand, orders, placeOf, sentence, stateWord, subject } from './rollouts';

const rollout = (state: RolloutState, more: object = {}) => create(RolloutSchema, {
  id: '1a2b3c4d-0000-4000-8000-000000000000', container: 'web', image: 'app:v2', state,
  counts: { total: 3, succeeded: 1, failed: 1 }, ...more,
});

test('every state has a word and a sentence', () => {
  for (const state of Object.values(RolloutState).filter((value): value is RolloutState => typeof value === 'number' && value > 0)) {
    expect(stateWord(state)).not.toBe('unknown');
    expect(sentence(rollout(state))).toMatch(/\.$/);
  }
  expect(sentence(rollout(RolloutState.SUCCEEDED, { counts: { total: 3, succeeded: 3 } }))).toBe('All 3 hosts are on the new version.');
  expect(sentence(rollout(RolloutState.SUCCEEDED, { counts: { total: 1, succeeded: 1 }, undoOf: 'f' }))).toBe('The host is on the previous version.');
  expect(sentence(rollout(RolloutState.PAUSED, { pauseCause: PauseCause.BUDGET }))).toBe(
    'Paused: more hosts failed than the policy tolerates. 1 of 3 hosts on the new version, 1 host failed.');
});

test('only what the server takes is offered', () => {
  const paused = (pauseCause: PauseCause) => orders(rollout(RolloutState.PAUSED, { pauseCause }));
  expect(orders(rollout(RolloutState.RUNNING))).toEqual(['pause', 'abort']);
  expect(orders(rollout(RolloutState.ROLLING_BACK))).toEqual(['pause', 'abort']);
  expect(orders(rollout(RolloutState.ABORTING))).toEqual([]);
  expect(paused(PauseCause.PROMOTION)).toEqual(['promote', 'abort']);
  expect(paused(PauseCause.BUDGET)).toEqual(['retry', 'resume', 'abort']);
  expect(orders(rollout(RolloutState.SUCCEEDED))).toEqual(['undo']);
  expect(orders(rollout(RolloutState.ROLLED_BACK, { counts: { total: 3, failed: 3 } }))).toEqual([]);
  expect(orderCommand('retry', rollout(RolloutState.PAUSED))).toBe('wharf rollout resume 1a2b3c4d --retry-failed');
});

test('every host state has its place', () => {
  for (const state of Object.values(HostState).filter((value): value is HostState => typeof value === 'number' && value > 0)) {
    const step = create(RolloutStepSchema, { state });
    expect(placeOf(step), HostState[state]).toBeDefined();
    expect(hostWord(step)).not.toBe('unknown');
  }
});

test('a rollout says what it does', () => {
  expect(subject(rollout(RolloutState.RUNNING))).toBe('web to app:v2');
  expect(subject(rollout(RolloutState.RUNNING, { undoOf: 'ffffffff-1' }))).toBe('web, undo of ffffffff');
});
