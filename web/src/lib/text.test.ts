import { expect, test } from 'vitest';
import { count, line, lines, plain, short } from './text';

test('text of others cannot change what stands around it', () => {
  expect(plain('\u001b[31mred\u001b[0m \u001b]0;title\u0007end')).toBe('red end');
  expect(plain('one\r\ntwo\u0000\u0008')).toBe('one\ntwo\ufffd\ufffd');
  expect(plain('safe\u202egnp.exe')).toBe('safe\ufffdgnp.exe');
  expect(line('a\n\tb  c')).toBe('a b c');
  expect(line('x'.repeat(10_000)).length).toBe(501);
});

test('an error of any length stays a short text', () => {
  expect(lines('x'.repeat(10_000)).length).toBe(2001);
  expect(lines('tall\n'.repeat(1_000)).split('\n')).toHaveLength(20);
  expect(lines('one\ntwo\n')).toBe('one\ntwo');
});

test('what nobody sees is visible, and marks stay on their line', () => {
  expect(plain('web\u200b \ufeffweb \u{e0041}')).toBe('web\ufffd \ufffdweb \ufffd');
  expect(plain('a\u0301'.normalize('NFD'))).toBe('a\u0301');
  expect(plain(`a${'\u0301'.repeat(50)}b`)).toBe(`a${'\u0301'.repeat(4)}b`);
  expect(lines('one\u2028two')).toBe('one\ntwo');
  expect(plain('\u{1f468}\u200d\u{1f4bb}')).toBe('\u{1f468}\u200d\u{1f4bb}');
});

test('markup stays text', () => {
  expect(line('<script>alert(1)</script>')).toBe('<script>alert(1)</script>');
});

test('numbers and IDs are short', () => {
  expect(short('sha256:0123456789abcdef')).toBe('0123456789ab');
  expect(count(1, 'host')).toBe('1 host');
  expect(count(20_000, 'container')).toBe('20,000 containers');
});
