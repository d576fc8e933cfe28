import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { ContainerSchema } from '../gen/wharf/v1/containers_pb';
import type { Row } from '../state/containers.svelte';
import { calls } from './calls';
import { type Grouping, Groups, type Item, type Lines, isKept, search } from './groups';

function row(host: string, name: string, imageId: string, labels: Record<string, string> = {}, state = 'running'): Row {
  const container = create(ContainerSchema, { id: `${host}-${name}`, name, imageId, image: 'app:v1', state, labels });
  return { key: `${host}/${container.id}`, host, container, heard: 0 };
}

const ROWS = [row('carl', 'web', 'sha256:b'), row('anna', 'web', 'sha256:a'), row('bert', 'web', 'sha256:a'), row('anna', 'db', 'sha256:c', { tier: 'data' })];

function grouped(rows: Iterable<Row>, by: Grouping, wanted?: (row: Row) => boolean): Groups {
  const groups = new Groups(by, wanted);
  for (const each of rows) groups.replace(undefined, each);
  return groups;
}

const items = (lines: Lines): Item[] => Array.from({ length: lines.length }, (_, index) => lines.at(index) as Item);
const keys = (lines: Lines) => items(lines).map(({ key }) => key);
const differing = (lines: Lines) => items(lines).filter((item) => item.kind === 'row' && item.differs).map(({ key }) => key);

test('hosts with another image than most stand out', () => {
  const lines = grouped(ROWS, 'name').lines(new Set());
  expect(keys(lines)).toEqual(['group/db', 'anna/anna-db', 'group/web', 'anna/anna-web', 'bert/bert-web', 'carl/carl-web']);
  expect(lines.at(2)).toMatchObject({ running: 3, variants: [{ imageId: 'sha256:a', containers: 2 }, { imageId: 'sha256:b', containers: 1 }] });
  expect(differing(lines)).toEqual(['carl/carl-web']);
  expect(lines.differing).toBe(1);
  expect(keys(grouped(ROWS, 'name').lines(new Set(['web', 'db'])))).toEqual(['group/db', 'group/web']);
  expect(keys(grouped(ROWS, 'name').lines(new Set(), true))).not.toContain('group/db');
});

test('without a majority, nobody is right', () => {
  expect(differing(grouped([row('anna', 'web', 'a'), row('bert', 'web', 'b')], 'name').lines(new Set()))).toHaveLength(2);
});

test('containers of one host are not compared', () => {
  expect(differing(grouped(ROWS, 'host').lines(new Set()))).toEqual([]);
});

test('a search needs every word somewhere', () => {
  const found = (text: string) => ROWS.filter(search(text)).map(({ key }) => key);
  expect(found('anna WEB')).toEqual(['anna/anna-web']);
  expect(found('tier=data')).toHaveLength(1);
  expect(found('nothing')).toHaveLength(0);
  expect(found(' ')).toHaveLength(4);
});

test('after any changes, the lines are those of the containers that there are', () => {
  // The same numbers each time.
  let seed = 7;
  const draw = (most: number) => (seed = (seed * 48_271) % 2_147_483_647) % most;
  for (const by of ['name', 'host'] as const) {
    const wanted = (each: Row) => each.container.state === 'running' || each.host !== 'h1';
    const groups = new Groups(by, wanted);
    const known = new Map<string, Row>();
    for (let step = 0; step < 2_000; step += 1) {
      const key = `h${draw(5)}/${draw(8)}`;
      const [host = '', id = ''] = key.split('/');
      const container = create(ContainerSchema, { id, name: `n${draw(6)}`, imageId: `i${draw(3)}`, state: draw(3) ? 'running' : 'exited' });
      const after = draw(4) ? { key, host, container, heard: step } : undefined;
      groups.replace(known.get(key), after);
      // Told again, nothing changes.
      if (draw(5) === 0) groups.replace(undefined, after);
      if (after) known.set(key, after);
      else known.delete(key);
      if (step % 50) continue;
      const expected = grouped([...known.values()], by, wanted);
      expect(items(groups.lines(new Set()))).toEqual(items(expected.lines(new Set())));
      expect([groups.total, groups.running]).toEqual([expected.total, expected.running]);
      const wantedRows = [...known.values()].filter(wanted);
      expect(groups.total).toBe(wantedRows.length);
      expect(groups.running).toBe(wantedRows.filter((each) => each.container.state === 'running').length);
    }
  }
});

test('containers of rollouts are known by their names', () => {
  expect(isKept('web.old-1a2b3c4d')).toBe(true);
  expect(isKept('web.older')).toBe(false);
});

test('calls reach exactly what was chosen', () => {
  const chosen = [{ host: 'a', name: 'web' }, { host: 'b', name: 'web' }, { host: 'c', name: 'web' }, { host: 'c', name: 'db' }];
  expect(calls(chosen)).toEqual([{ hosts: ['a', 'b'], names: ['web'] }, { hosts: ['c'], names: ['db', 'web'] }]);
});
