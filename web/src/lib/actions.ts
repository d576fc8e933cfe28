// Does something to several containers, and says how each ended.

import { containers as service } from './client';
import { type Call, type Chosen, type Done, type HostMessage, type Verb, calls } from './calls';
import { problemOf, problemOfStatus } from './problem';
import type { HostOutcome, ItemResult } from '../gen/wharf/v1/common_pb';

/** Does it, and reports every container as soon as it has ended. */
export async function act(verb: Verb, chosen: Chosen[], report: (done: Done) => void): Promise<void> {
  const open: Call[] = calls(chosen);
  const worker = async () => {
    for (let call = open.pop(); call; call = open.pop()) await one(verb, call, report);
  };
  // Few at once: a browser has six connections to a server over HTTP/1.1.
  await Promise.all([worker(), worker()]);
}

async function one(verb: Verb, call: Call, report: (done: Done) => void): Promise<void> {
  const waiting = new Map(call.hosts.map((host) => [host, new Set(call.names)]));
  const end = (host: string, name: string, result: Done['result']) => {
    waiting.get(host)?.delete(name);
    report({ host, name, result });
  };
  const endHost = (host: string, result: Done['result']) => {
    for (const name of waiting.get(host) ?? []) end(host, name, result);
  };
  try {
    for await (const { host, event } of send(verb, call)) {
      if (event.case === 'item') {
        const item = event.value as ItemResult;
        end(host, item.name, problemOfStatus(item.status) ?? (item.changed ? 'changed' : 'unchanged'));
      } else if (event.case === 'outcome') {
        endHost(host, problemOfStatus((event.value as HostOutcome).status) ?? 'unchanged');
      } else if (event.case === 'started') {
        const { cordoned } = event.value as { cordoned: string[] };
        for (const name of cordoned) endHost(name, { message: 'left out: the host is cordoned', reason: '' });
      }
    }
  } catch (error) {
    // After the outcomes, the status only repeats that some host failed.
    for (const host of call.hosts) endHost(host, problemOf(error));
  }
}

function send(verb: Verb, call: Call): AsyncIterable<HostMessage> {
  const targets = { selection: { case: 'hosts' as const, value: { names: call.hosts } } };
  const request = { targets, containers: call.names, requestId: crypto.randomUUID() };
  switch (verb) {
    case 'start': return service.startContainers(request);
    case 'stop': return service.stopContainers(request);
    case 'restart': return service.restartContainers(request);
    case 'kill': return service.killContainers(request);
    case 'pause': return service.pauseContainers(request);
    case 'unpause': return service.unpauseContainers(request);
    case 'remove': return service.removeContainers({ ...request, force: true });
  }
}
