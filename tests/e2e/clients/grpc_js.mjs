// A client that loads the contract when it starts: `node grpc_js.mjs HOST:PORT CONTAINER PROTO...`,
// the last being the folders to look for .proto files in.

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const [authority, container, ...includeDirs] = process.argv.slice(2);
const definition = loadSync(
  ["wharf/v1/containers.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"],
  { includeDirs, defaults: true, oneofs: true },
);
const { wharf } = grpc.loadPackageDefinition(definition);
const containers = new wharf.v1.ContainerService(authority, grpc.credentials.createInsecure());

// The one ErrorInfo in the details of a google.rpc.Status.
function errorInfo(status) {
  const detail = status.details.find((any) => any.type_url.endsWith("/google.rpc.ErrorInfo"));
  return detail && definition["google.rpc.ErrorInfo"].deserialize(detail.value);
}

function refusal(error) {
  const [details] = error.metadata.get("grpc-status-details-bin");
  const info = errorInfo(definition["google.rpc.Status"].deserialize(details));
  return { code: error.code, domain: info.domain, reason: info.reason };
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

const deadline = { deadline: Date.now() + 60_000 };
const targets = { all: {} };
const { events } = await all(containers.ListContainers({ targets }, deadline));
const listed = events.flatMap(({ host, batch }) =>
  (batch?.containers ?? []).map(({ name }) => `${host}/${name}`),
);
const { refused } = await all(containers.ListContainers({}, deadline));
const started = await all(
  containers.StartContainers({ targets, containers: [container] }, deadline),
);
const outcomes = started.events.filter(({ event }) => event === "outcome");
const hosts = Object.fromEntries(
  outcomes.map(({ host, outcome }) => [host, errorInfo(outcome.status)?.reason ?? "OK"]),
);
console.log(JSON.stringify({ listed, refused, partial: started.refused, hosts }));
containers.close();
