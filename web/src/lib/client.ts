// The services of wharfd over gRPC-Web, at the address that the page came from.

import { type DescService } from '@bufbuild/protobuf';
import { type Client, type Interceptor, createClient } from '@connectrpc/connect';
import { createGrpcWebTransport } from '@connectrpc/connect-web';
import { ContainerService } from '../gen/wharf/v1/containers_pb';
import { ExecService } from '../gen/wharf/v1/exec_pb';
import { HostService } from '../gen/wharf/v1/hosts_pb';
import { ImageService } from '../gen/wharf/v1/images_pb';
import { LogService } from '../gen/wharf/v1/logs_pb';
import { RegistryService } from '../gen/wharf/v1/registries_pb';
import { RolloutService } from '../gen/wharf/v1/rollouts_pb';
import { StatsService } from '../gen/wharf/v1/stats_pb';
import { SystemService } from '../gen/wharf/v1/system_pb';
import { isSignedOut } from './problem';
import { KEY_HEADER, session } from './session.svelte';

/** Deadline of calls that contact no host, in milliseconds. */
export const QUICK = { timeoutMs: 30_000 };

/** Deadline of plans, which ask every host and the registry, in milliseconds. */
export const PLAN = { timeoutMs: 120_000 };

const identify: Interceptor = (next) => async (request) => {
  const key = session.key;
  if (key) request.header.set(KEY_HEADER, key);
  try {
    return await next(request);
  } catch (error) {
    if (isSignedOut(error)) session.lost();
    throw error;
  }
};

const transport = createGrpcWebTransport({
  baseUrl: new URL('.', location.href).href.replace(/\/$/, ''),
  interceptors: [identify],
});

function client<S extends DescService>(service: S): Client<S> {
  return createClient(service, transport);
}

export const containers = client(ContainerService);
export const exec = client(ExecService);
export const hosts = client(HostService);
export const images = client(ImageService);
export const logs = client(LogService);
export const registries = client(RegistryService);
export const rollouts = client(RolloutService);
export const stats = client(StatsService);
export const system = client(SystemService);
