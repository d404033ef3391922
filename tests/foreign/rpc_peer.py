"""One gRPC service as a client of another make sees it: where it is, its stub, its health, and why it refuses."""

import glob
import importlib
import json
import os
import tempfile
from typing import NamedTuple

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status

# As gRPC itself offers it to clients: what a peer that is away has not done is asked for again. Every request has its id.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def address_of(name):
    """Where the service is: what the environment says, else the sandbox that runs."""
    url = os.environ.get(f"{name.upper()}_URL")
    if not url:
        (addresses,) = glob.glob(os.path.join(tempfile.gettempdir(), "arch-homework-*", "addresses.json"))
        with open(addresses, encoding="utf-8") as file:
            url = json.load(file)["services"][name]
    return url.removeprefix("http://").rstrip("/")


class Peer:
    """The service `name`, with the code that was generated for it."""

    def __init__(self, name):
        messages = importlib.import_module(f"{name}.v1.{name}_pb2")
        stubs = importlib.import_module(f"{name}.v1.{name}_pb2_grpc")
        (self.descriptor,) = messages.DESCRIPTOR.services_by_name.values()
        self.service_name = self.descriptor.full_name
        options = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
        self.channel = grpc.insecure_channel(address_of(name), options)
        self.stub = getattr(stubs, f"{self.descriptor.name}Stub")(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)


class Refused(NamedTuple):
    """What a client can tell refusals apart by."""

    status: str
    reason: str
    metadata: dict


def refusal(refused):
    """Why `refused` is; it is an error if it is not."""
    try:
        answer = refused()
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        assert status is not None, f"{error.code()} without details: {error.details()}"
        info = ErrorInfo()
        (found,) = (it for it in status.details if it.Is(info.DESCRIPTOR))
        found.Unpack(info)
        assert info.domain == "arch-homework", info
        return Refused(error.code().name, info.reason, dict(info.metadata))
    raise AssertionError(f"was not refused: {answer}")
