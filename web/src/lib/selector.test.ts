import { expect, test } from 'vitest';
import { parseSelector } from './selector';

const LABELS = { role: 'web', zone: 'north', canary: '' };

function matches(text: string): boolean | string {
  const selector = parseSelector(text);
  return 'test' in selector ? selector.test(LABELS) : selector.problem;
}

test('selectors are those of -l', () => {
  for (const yes of ['', 'role=web', 'role==web', 'role', 'zone in (north, south)', 'zone notin (south)', 'role!=db', '!gpu', 'role=web,zone=north', 'canary=']) {
    expect(matches(yes), yes).toBe(true);
  }
  for (const no of ['role=db', '!role', 'zone in (south)', 'zone notin (north)', 'role=web,gpu', 'constructor', 'gpu in (a)']) {
    expect(matches(no), no).toBe(false);
  }
  // A label that is missing is not equal to anything.
  expect(matches('gpu!=a')).toBe(true);
});

test('what is wrong is said', () => {
  for (const wrong of ['role=web,', 'zone in (a', '=web', 'a b', ',']) {
    expect(typeof matches(wrong), wrong).toBe('string');
  }
});
