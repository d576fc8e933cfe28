// Times and durations as text. Pure.

import type { Duration, Timestamp } from '@bufbuild/protobuf/wkt';

/** Milliseconds since 1970; `undefined` for a time that is not set. */
export function millis(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

/** A duration in milliseconds; `undefined` if it is not set. */
export function durationMillis(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1e6;
}

const UNITS: [number, string][] = [
  [365 * 86_400, 'year'],
  [30 * 86_400, 'month'],
  [86_400, 'day'],
  [3_600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
];

/** `3 minutes`, in the largest unit of which there are two, or one of them. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  for (const [length, unit] of UNITS) {
    const count = Math.floor(seconds / length);
    if (count >= 2 || (count === 1 && length >= 60)) return `${count} ${unit}${count === 1 ? '' : 's'}`;
  }
  return seconds === 1 ? '1 second' : 'less than a second';
}

/** `3 minutes ago`; empty for a time that is not set. */
export function ago(time: Timestamp | undefined, now: number): string {
  const at = millis(time);
  return at === undefined ? '' : `${span(now - at)} ago`;
}

/** `0:42` or `1:02:03`; `0:00` once it is over. */
export function countdown(until: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

const STATUS_UNITS: Record<string, number> = {
  second: 1, minute: 60, hour: 3_600, day: 86_400, week: 604_800, month: 2_592_000, year: 31_536_000,
};

/**
 * A container's status as it would read now. The server sends it only when something else changes, so
 * `Up 5 minutes` was true at `heard` and has grown since.
 */
export function statusNow(status: string, heard: number, now: number): string {
  const match = /^(Up )(?:(\d+|About an?|Less than a) (second|minute|hour|day|week|month|year)s?)(.*)$/.exec(status);
  if (!match) return status;
  const [, up, count, unit, rest] = match;
  const known = count === 'Less than a' ? 0 : count?.startsWith('About') ? 1 : Number(count);
  const seconds = known * (STATUS_UNITS[unit ?? ''] ?? 0) + (now - heard) / 1000;
  if (now - heard < 1000) return status;
  return `${up}${span(seconds * 1000)}${rest}`;
}

/** `1.5 GB`, with decimal units as docker has them. */
export function bytes(value: number | bigint): string {
  let amount = Number(value);
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (amount < 999.5) return `${amount < 10 && unit !== 'B' ? amount.toFixed(1) : Math.round(amount)} ${unit}`;
    amount /= 1000;
  }
  return `${amount.toFixed(1)} TB`;
}

/** Milliseconds as `0.7 ms`, `12 ms`, `1.2 s`. */
export function latency(milliseconds: number | undefined): string {
  if (milliseconds === undefined) return '';
  if (milliseconds < 10) return `${milliseconds.toFixed(1)} ms`;
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
