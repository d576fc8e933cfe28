#!/usr/bin/env python3
"""Lists the containers of a fleet over gRPC, with nothing of Wharf's installed.

The server describes its own API (gRPC reflection), so there is no code to generate:

    pip install grpcio grpcio-reflection
    python list_containers.py unix:///run/wharf/wharfd.sock
    python list_containers.py https://wharf.example.com:7443 --ca ca.pem   # token in WHARF_TOKEN
"""

import argparse
import os
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


def connect(address, ca):
    """A channel for unix:///PATH, tcp://HOST:PORT (plain) or https://HOST:PORT."""
    if address.startswith("unix://"):
        # gRPC derives a host name from the path of the socket, which HTTP/2 does not allow.
        return grpc.insecure_channel(address, options=[("grpc.default_authority", "localhost")])
    scheme, _, authority = address.partition("://")
    if scheme == "tcp":
        return grpc.insecure_channel(authority)
    if scheme == "https":
        roots = open(ca, "rb").read() if ca else None
        return grpc.secure_channel(authority, grpc.ssl_channel_credentials(roots))
    sys.exit(f"{address}: write unix:///PATH, tcp://HOST:PORT or https://HOST:PORT")


def main():
    parser = argparse.ArgumentParser(description="Lists containers of every host.")
    parser.add_argument("server")
    parser.add_argument("--ca", help="PEM file with the authority of the server's certificate")
    parser.add_argument("--labels", help="only hosts that match, such as role=web")
    arguments = parser.parse_args()

    token = os.environ.get("WHARF_TOKEN")
    metadata = [("authorization", f"Bearer {token}")] if token else []
    channel = connect(arguments.server, arguments.ca)
    if token:
        # The reflection client takes no metadata of its own.
        channel = grpc.intercept_channel(channel, AddMetadata(metadata))

    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName("wharf.v1.ContainerService").FindMethodByName("ListContainers")
    request_class = GetMessageClass(method.input_type)
    response_class = GetMessageClass(method.output_type)
    call = channel.unary_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=request_class.SerializeToString,
        response_deserializer=response_class.FromString,
    )

    request = request_class(all=True)
    if arguments.labels:
        request.targets.labels = arguments.labels
    else:
        request.targets.all.SetInParent()

    failed = 0
    try:
        # The deadline is shared by all hosts; one that hangs costs the others nothing.
        for response in call(request, timeout=10):
            match response.WhichOneof("event"):
                case "batch":
                    for container in response.batch.containers:
                        print(f"{response.host}/{container.name}\t{container.state}\t{container.image}")
                case "outcome" if response.outcome.status.code:
                    print(f"{response.host}: {response.outcome.status.message}", file=sys.stderr)
                case "summary":
                    failed = response.summary.failed
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    sys.exit(1 if failed else 0)


class AddMetadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds metadata to every call of a channel."""

    def __init__(self, metadata):
        self.metadata = metadata

    def add(self, details):
        merged = list(details.metadata or []) + self.metadata
        return details._replace(metadata=merged)

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self.add(details), request)

    def intercept_unary_stream(self, continuation, details, request):
        return continuation(self.add(details), request)

    def intercept_stream_stream(self, continuation, details, requests):
        return continuation(self.add(details), requests)


if __name__ == "__main__":
    main()
