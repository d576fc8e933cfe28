import { toJson } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { FailureAction, HealthGate, RolloutPolicySchema, RolloutSpecSchema } from '../gen/wharf/v1/rollout_spec_pb';
import { type Draft, emptyDraft, quoted, startCommand, tree, yaml } from './draft';
import { readSpec } from './file';
import { PARAMETERS } from './policy';

const read = (text: string) => readSpec(parse(text, { schema: 'failsafe' }), parse(text, { schema: 'core' }));

const DRAFT: Draft = {
  ...emptyDraft(),
  container: 'web', image: 'registry.example.com/web:v2', target: 'labels', labels: 'role=web,zone in (a,b)',
  env: 'LEVEL=info\nGREETING=it\'s "on": yes', unset: 'env.OLD',
  policy: { batches: '1, 50% 100%', health: 'http', on_failure: 'rollback', monitor: '1m30s', drain: 'sleep 5' },
  probe: { port: '8080', path: '/healthz', command: 'not for http' },
};

test('what was clicked is the same as its file', () => {
  const spec = readSpec(tree(DRAFT));
  expect(toJson(RolloutSpecSchema, read(yaml(DRAFT)))).toEqual(toJson(RolloutSpecSchema, spec));
  expect(spec.policy?.batches).toEqual(['1', '50%', '100%']);
  expect(spec.policy?.onFailure).toBe(FailureAction.ROLLBACK);
  expect(spec.policy?.health).toBe(HealthGate.HTTP);
  expect(spec.policy?.monitor?.seconds).toBe(90n);
  expect(spec.policy?.probe).toMatchObject({ port: 8080, path: '/healthz', command: [] });
  expect(spec.policy?.drain).toEqual(['/bin/sh', '-c', 'sleep 5']);
  expect(spec.set?.env[1]).toBe('GREETING=it\'s "on": yes');
});

test('every parameter of the form is one of the contract', () => {
  const fields = RolloutPolicySchema.fields.map(({ name }) => name);
  for (const { name, choices } of PARAMETERS) {
    expect(fields).toContain(name);
    for (const choice of choices ?? []) readSpec({ policy: { [name]: choice } });
  }
});

test('the command says the same', () => {
  expect(startCommand(DRAFT)).toBe(
    'wharf rollout start web -l \'role=web,zone in (a,b)\' --image registry.example.com/web:v2 -e LEVEL=info ' +
    `-e 'GREETING=it'\\''s "on": yes' --unset env.OLD --batches 1,50%,100% --health http --probe-port 8080 ` +
    `--probe-path /healthz --monitor 1m30s --on-failure rollback --drain 'sleep 5'`);
  expect(quoted('$(reboot)')).toBe(`'$(reboot)'`);
});

test('a wrong file is refused with the key', () => {
  for (const [file, message] of [
    [{ contianer: 'web' }, 'unknown key contianer'],
    [{ policy: { on_failure: 'panic' } }, 'policy.on_failure: "panic" is not one of pause, rollback'],
    [{ policy: { monitor: 'soon' } }, 'policy.monitor: "soon" is not a duration'],
    [{ policy: { batches: '1' } }, 'policy.batches must be a list'],
    ['web', 'the file must be a mapping'],
  ] as const) {
    expect(() => readSpec(file)).toThrow(message);
  }
});

test('text stays text, and the Engine\'s own JSON stands as YAML', () => {
  const spec = read(`
merge_patch: {HostConfig: {Memory: 1, Init: true, Runtime: null}}
set:
  memory_bytes: 512m
  labels: {version: 1.10, country: no, empty: }
  init: true
  user:
policy: {probe: {port: 8080}}`);
  expect(spec.mergePatch?.json).toBe('{"HostConfig":{"Memory":1,"Init":true,"Runtime":null}}');
  expect(spec.set?.memoryBytes).toBe(512n << 20n);
  expect(spec.set?.labels).toEqual({ version: '1.10', country: 'no', empty: '' });
  expect([spec.set?.init, spec.set?.user, spec.policy?.probe?.port]).toEqual([true, '', 8080]);
  expect(() => read('set: {init: "true"}')).toThrow('set.init must be true or false');
});
