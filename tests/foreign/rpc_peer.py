"""One gRPC service as a client of another make sees it: where it is, its stub, its health, why it refuses; and its process."""

import glob
import importlib
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from typing import NamedTuple

import grpc
import psutil
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

STOP_MAX_S = READY_MAX_S = 60
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
            url = json.load(file)["services"][name.capitalize()]
    return url.removeprefix("http://").rstrip("/")


class Peer:
    """The service `name`, with the code that was generated for it."""

    def __init__(self, name):
        messages = importlib.import_module(f"{name}.v1.{name}_pb2")
        stubs = importlib.import_module(f"{name}.v1.{name}_pb2_grpc")
        (self.descriptor,) = messages.DESCRIPTOR.services_by_name.values()
        self.service_name = self.descriptor.full_name
        options = [("grpc.service_config", json.dumps(SERVICE_CONFIG))]
        self.address = address_of(name)
        self.channel = grpc.insecure_channel(self.address, options)
        self.stub = getattr(stubs, f"{self.descriptor.name}Stub")(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)


    def is_ready(self):
        """Waits until the service says so."""
        self.health.Check(health_pb2.HealthCheckRequest(), timeout=READY_MAX_S, wait_for_ready=True)

    def process(self):
        """The process that listens at the address."""
        port = int(self.address.rpartition(":")[2])
        listening = (it for it in psutil.net_connections("tcp") if it.status == psutil.CONN_LISTEN)
        (pid,) = {it.pid for it in listening if it.laddr.port == port}
        return Process(pid)


class Process(psutil.Process):
    """A process of a service."""

    @contextmanager
    def hangs(self):
        """It lives, and does nothing."""
        self.suspend()
        try:
            yield
        finally:
            self.resume()

    def restart(self):
        """Ends it as it wants to be ended, and starts it as it was started."""
        command, environment, directory = self.cmdline(), self.environ(), self.cwd()
        with open(f"/proc/{self.pid}/fd/1", "ab") as log:
            self.terminate()
            deadline = time.monotonic() + STOP_MAX_S
            while not self._has_ended():
                assert time.monotonic() < deadline, "it does not stop"
                time.sleep(0.02)
            # Where it wants to end with who has started it, it ends with this program.
            started = subprocess.Popen(
                command, env=environment, cwd=directory, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        RESTARTED.append(started)

    def _has_ended(self):
        # Whoever has started it may not take notice of its end.
        return not self.is_running() or self.status() == psutil.STATUS_ZOMBIE


# Their standard input stays open as long as they are here.
RESTARTED = []


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
        # There may be more.
        metadata = {key: value for key, value in info.metadata.items() if key in ("field", "orderId")}
        return Refused(error.code().name, info.reason, metadata)
    raise AssertionError(f"was not refused: {answer}")
