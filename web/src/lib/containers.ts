// Containers in words. Pure.

import type { Container } from '../gen/wharf/v1/containers_pb';
import type { Tone } from './rollouts';

/** Health as the status has it: `healthy`, `unhealthy`, `health: starting`; empty without a health check. */
export function health(container: Container): string {
  return /\((healthy|unhealthy|health: starting)\)/.exec(container.status)?.[1] ?? '';
}

export function containerTone(container: Container): Tone {
  if (health(container) === 'unhealthy' || container.state === 'dead' || container.state === 'restarting') return 'bad';
  if (container.state === 'running') return 'good';
  return container.state === 'paused' ? 'warn' : 'quiet';
}

/** `8080->80/tcp, 53/udp`, each port once. */
export function ports(container: Container): string {
  const texts = container.ports.map(({ privatePort, publicPort, protocol }) =>
    publicPort ? `${publicPort}->${privatePort}/${protocol}` : `${privatePort}/${protocol}`);
  return [...new Set(texts)].join(', ');
}
