"""Lists containers with nothing but grpcio: all that is known of Wharf comes by reflection.

    list_containers.py HOST:PORT

Prints HOST/NAME for each container, and the summary, as JSON.
"""

import json
import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

channel = grpc.insecure_channel(sys.argv[1])
database = ProtoReflectionDescriptorDatabase(channel)
pool = DescriptorPool(database)
service = pool.FindServiceByName("wharf.v1.ContainerService")
method = service.FindMethodByName("ListContainers")
call = channel.unary_stream(
    f"/{service.full_name}/{method.name}",
    request_serializer=lambda message: message.SerializeToString(),
    response_deserializer=GetMessageClass(method.output_type).FromString,
)
request = json_format.ParseDict({"targets": {"all": {}}}, GetMessageClass(method.input_type)())
containers, summary = [], None
for event in call(request, timeout=60):
    event = json_format.MessageToDict(event)
    for container in event.get("batch", {}).get("containers", []):
        containers.append(f"{event['host']}/{container['name']}")
    summary = event.get("summary", summary)
services = sorted(database.get_services())
print(json.dumps({"containers": containers, "summary": summary, "services": services}))
