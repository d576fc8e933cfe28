"""A client of generated code: `client.py HOST:PORT`, with the generated code on PYTHONPATH.

Imports google-api-core and googleapis-common-protos as well, as programs do that also talk to
Google's services: their `google.rpc` and the one of the contract must be the same.
"""

import json
import sys
import warnings

with warnings.catch_warnings():
    # It announces the end of its support for older versions of Python.
    warnings.simplefilter("ignore", FutureWarning)
    import google.api_core.exceptions  # noqa: F401
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from wharf.v1 import common_pb2, containers_pb2, containers_pb2_grpc

# Of no use to Wharf, and a proof that the module is not a smaller copy.
error_details_pb2.QuotaFailure()

containers = containers_pb2_grpc.ContainerServiceStub(grpc.insecure_channel(sys.argv[1]))
everywhere = common_pb2.HostSelector(all=common_pb2.AllHosts())


def error_info(status):
    """The one ErrorInfo in the details of a google.rpc.Status."""
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    return None


def refusal(error):
    info = error_info(rpc_status.from_call(error))
    return {"code": error.code().value[0], "domain": info.domain, "reason": info.reason}


listed = []
request = containers_pb2.ListContainersRequest(targets=everywhere)
for event in containers.ListContainers(request, timeout=60):
    listed += [f"{event.host}/{container.name}" for container in event.batch.containers]

try:
    list(containers.ListContainers(containers_pb2.ListContainersRequest(), timeout=60))
    refused = None
except grpc.RpcError as error:
    refused = refusal(error)

hosts, partial = {}, None
request = containers_pb2.StartContainersRequest(targets=everywhere, containers=[sys.argv[2]])
try:
    for event in containers.StartContainers(request, timeout=60):
        if event.HasField("outcome"):
            info = error_info(event.outcome.status)
            hosts[event.host] = info.reason if info else "OK"
except grpc.RpcError as error:
    partial = refusal(error)

print(json.dumps({"listed": listed, "refused": refused, "partial": partial, "hosts": hosts}))
