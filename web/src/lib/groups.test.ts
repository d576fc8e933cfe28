import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ContainerSchema } from '../gen/wharf/v1/containers_pb';
import type { Row } from '../state/containers.svelte';
import { calls } from './calls';
import { flatten, group, isKept, search } from './groups';

function row(host: string, name: string, imageId: string, labels: Record<string, string> = {}): Row {
  const container = create(ContainerSchema, { id: `${host}-${name}`, name, imageId, image: 'app:v1', state: 'running', labels });
  return { key: `${host}/${container.id}`, host, container, heard: 0 };
}

const ROWS = [row('carl', 'web', 'sha256:b'), row('anna', 'web', 'sha256:a'), row('bert', 'web', 'sha256:a'), row('anna', 'db', 'sha256:c', { tier: 'data' })];

test('hosts with another image than most stand out', () => {
  const groups = group(ROWS, 'name');
  expect(groups.map(({ title }) => title)).toEqual(['db', 'web']);
  const web = groups[1];
  expect(web?.variants).toEqual([{ imageId: 'sha256:a', hosts: ['anna', 'bert'] }, { imageId: 'sha256:b', hosts: ['carl'] }]);
  const differing = flatten(groups, 'name', new Set()).filter((item) => item.kind === 'row' && item.differs);
  expect(differing.map(({ key }) => key)).toEqual(['carl/carl-web']);
  expect(flatten(groups, 'name', new Set(['web', 'db']))).toHaveLength(2);
});

test('without a majority, nobody is right', () => {
  const items = flatten(group([row('anna', 'web', 'a'), row('bert', 'web', 'b')], 'name'), 'name', new Set());
  expect(items.filter((item) => item.kind === 'row' && item.differs)).toHaveLength(2);
});

test('containers of one host are not compared', () => {
  const items = flatten(group(ROWS, 'host'), 'host', new Set());
  expect(items.some((item) => item.kind === 'row' && item.differs)).toBe(false);
});

test('a search needs every word somewhere', () => {
  expect(search(ROWS, 'anna WEB').map(({ key }) => key)).toEqual(['anna/anna-web']);
  expect(search(ROWS, 'tier=data')).toHaveLength(1);
  expect(search(ROWS, 'nothing')).toHaveLength(0);
});

test('containers of rollouts are known by their names', () => {
  expect(isKept('web.old-1a2b3c4d')).toBe(true);
  expect(isKept('web.older')).toBe(false);
});

test('calls reach exactly what was chosen', () => {
  const chosen = [{ host: 'a', name: 'web' }, { host: 'b', name: 'web' }, { host: 'c', name: 'web' }, { host: 'c', name: 'db' }];
  expect(calls(chosen)).toEqual([{ hosts: ['a', 'b'], names: ['web'] }, { hosts: ['c'], names: ['db', 'web'] }]);
});
