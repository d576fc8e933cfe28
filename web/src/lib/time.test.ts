import { expect, test } from 'vitest';
import { bytes, countdown, latency, span, statusNow } from './time';

test('spans have one unit', () => {
  expect(span(0)).toBe('less than a second');
  expect(span(1000)).toBe('1 second');
  expect(span(61_000)).toBe('1 minute');
  expect(span(3 * 3_600_000)).toBe('3 hours');
});

test('a countdown ends at zero', () => {
  expect(countdown(65_000, 0)).toBe('1:05');
  expect(countdown(3_723_000, 0)).toBe('1:02:03');
  expect(countdown(0, 5000)).toBe('0:00');
});

test('the status of a container grows old with it', () => {
  expect(statusNow('Up 5 minutes (healthy)', 0, 60_000)).toBe('Up 6 minutes (healthy)');
  expect(statusNow('Up About a minute', 0, 60_000)).toBe('Up 2 minutes');
  expect(statusNow('Up Less than a second', 0, 30_000)).toBe('Up 30 seconds');
  expect(statusNow('Up 5 minutes', 0, 500)).toBe('Up 5 minutes');
  expect(statusNow('Exited (0) 3 days ago', 0, 60_000)).toBe('Exited (0) 3 days ago');
});

test('sizes and latencies are short', () => {
  expect(bytes(999)).toBe('999 B');
  expect(bytes(1500n)).toBe('1.5 kB');
  expect(bytes(2_345_000_000)).toBe('2.3 GB');
  expect(latency(0.66)).toBe('0.7 ms');
  expect(latency(1234)).toBe('1.2 s');
});
