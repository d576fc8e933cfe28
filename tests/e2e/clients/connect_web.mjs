// A client for browsers, of generated code, over gRPC-Web: `node connect_web.mjs URL CONTAINER`,
// with the generated code in ./gen.

import { create } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { HostSelectorSchema } from "./gen/wharf/v1/common_pb.js";
import { ContainerService } from "./gen/wharf/v1/containers_pb.js";

const [baseUrl, container] = process.argv.slice(2);
const containers = createClient(ContainerService, createGrpcWebTransport({ baseUrl }));
const targets = create(HostSelectorSchema, { selection: { case: "all", value: {} } });

function refusal(error) {
  const failed = ConnectError.from(error);
  const [info] = failed.findDetails(ErrorInfoSchema);
  return { code: failed.code, domain: info.domain, reason: info.reason };
}

// Every event of a stream, and how the call was refused; null where it was not.
async function all(stream) {
  const events = [];
  try {
    for await (const event of stream) events.push(event);
  } catch (error) {
    return { events, refused: refusal(error) };
  }
  return { events, refused: null };
}

function reason(status) {
  const infos = status.details.map((any) => anyUnpack(any, ErrorInfoSchema));
  return infos.find((info) => info !== undefined)?.reason ?? "OK";
}

const options = { timeoutMs: 60_000 };
const { events } = await all(containers.listContainers({ targets }, options));
const listed = events.flatMap(({ host, event }) =>
  event.case === "batch" ? event.value.containers.map(({ name }) => `${host}/${name}`) : [],
);
const { refused } = await all(containers.listContainers({}, options));
const started = await all(
  containers.startContainers({ targets, containers: [container] }, options),
);
const hosts = Object.fromEntries(
  started.events
    .filter(({ event }) => event.case === "outcome")
    .map(({ host, event }) => [host, reason(event.value.status)]),
);
console.log(JSON.stringify({ listed, refused, partial: started.refused, hosts }));
