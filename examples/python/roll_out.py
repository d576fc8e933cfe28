#!/usr/bin/env python3
"""Takes a new image to a container on many hosts, and follows until it is done.

As list_containers.py, it needs nothing of Wharf's but its address:

    pip install grpcio grpcio-reflection
    python roll_out.py unix:///run/wharf/wharfd.sock web registry.example.com/web:v2 --labels role=web

Exit status 0 when every host is on the new version, else 1. Killing this program, or wharfd, does
not end the rollout.
"""

import argparse
import json
import os
import sys
import time
import uuid

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from list_containers import AddMetadata, connect


class Rollouts:
    """The RolloutService of a server; requests and answers are dictionaries, as in JSON."""

    def __init__(self, channel):
        self.channel = channel
        self.pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self.service = self.pool.FindServiceByName("wharf.v1.RolloutService")

    def unary(self, name, request, **options):
        call, request = self._call(self.channel.unary_unary, name, request)
        return self._dictionary(call(request, **options))

    def stream(self, name, request, **options):
        call, request = self._call(self.channel.unary_stream, name, request)
        return map(self._dictionary, call(request, **options))

    def _dictionary(self, message):
        # The pool also knows what stands in the details of a status.
        return json_format.MessageToDict(message, descriptor_pool=self.pool)

    def _call(self, kind, name, request):
        method = self.service.FindMethodByName(name)
        call = kind(
            f"/{self.service.full_name}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return call, json_format.ParseDict(request, GetMessageClass(method.input_type)())


def follow(rollouts, rollout):
    """Tells what happens; returns the rollout when it has ended or its policy paused it."""
    cursor = None
    while True:
        request = {"id": rollout["id"]} | ({"after": cursor} if cursor else {})
        try:
            for event in rollouts.stream("WatchRollouts", request):
                cursor = event.get("cursor", cursor)
                for snapshot in event.get("snapshot", {}).get("rollouts", []):
                    rollout = snapshot
                rollout = event.get("rollout", rollout)
                if step := event.get("step", {}).get("step"):
                    message = step.get("status", {}).get("message", "")
                    print(step["host"], step["state"], step.get("step", ""), message)
                paused = rollout["state"] == "ROLLOUT_STATE_PAUSED"
                settled = rollout.get("settled", False)
                if paused and rollout["pauseCause"] != "PAUSE_CAUSE_USER" and settled:
                    return rollout
            # The stream of one rollout ends with the rollout.
            return rollout
        except grpc.RpcError as error:
            # wharfd restarts: what happened meanwhile follows the last cursor.
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)


def main():
    parser = argparse.ArgumentParser(description="Takes a new image to a container on many hosts.")
    parser.add_argument("server")
    parser.add_argument("container")
    parser.add_argument("image")
    parser.add_argument("--labels", required=True, help="the hosts, such as role=web")
    parser.add_argument("--ca", help="PEM file with the authority of the server's certificate")
    parser.add_argument("--policy", default="{}", help="RolloutPolicy as JSON")
    arguments = parser.parse_args()

    channel = connect(arguments.server, arguments.ca)
    if token := os.environ.get("WHARF_TOKEN"):
        metadata = [("authorization", f"Bearer {token}")]
        channel = grpc.intercept_channel(channel, AddMetadata(metadata))
    request = {
        "spec": {
            "container": arguments.container,
            "image": arguments.image,
            "targets": {"labels": arguments.labels},
            "policy": json.loads(arguments.policy),
        },
        # Sent again under the same ID, it begins nothing twice.
        "request_id": str(uuid.uuid4()),
    }
    try:
        rollouts = Rollouts(channel)
        created = rollouts.unary("CreateRollout", request, timeout=300)["rollout"]
        print(f"rollout {created['id']}")
        ended = follow(rollouts, created)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
    reason = ended.get("reason", {}).get("message", "")
    print(f"{ended['state']} {reason}".rstrip())
    sys.exit(ended["state"] != "ROLLOUT_STATE_SUCCEEDED")


if __name__ == "__main__":
    main()
