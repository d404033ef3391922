"""An API server of Kubernetes that this machine runs for the tests, and a namespace on it for each of them."""

import http.client
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import time

import charts

START_S = 60


class Server:
    """Nothing happens to an object but what a client does: no pod ever starts."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = pathlib.Path(folder) / "log"
        # It makes one for itself when it starts.
        self.certificate = pathlib.Path(folder) / "apiserver.crt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([os.environ["APISERVER"], folder, str(self.port)], stdout=log, stderr=log)

    def wait(self):
        deadline = time.monotonic() + START_S
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the API server is not ready:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def is_ready(self):
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, media_type="application/json"):
        """Status and body of the answer to the administrator."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=ssl.create_default_context(cafile=self.certificate)
        )
        headers = {"Authorization": "Bearer admin", "Content-Type": media_type}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def close(self):
        self.process.terminate()
        self.process.wait()


class Namespace:
    GROUPS = {
        "deployments": "/apis/apps/v1",
        "statefulsets": "/apis/apps/v1",
        "ingresses": "/apis/networking.k8s.io/v1",
        "roles": "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    }

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def call(self, method, path, body=None, media_type="application/json"):
        status, answer = self.server.ask(method, path, body, media_type)
        assert status < 300, answer
        return json.loads(answer)

    def path(self, kind, name=""):
        return f"{self.GROUPS.get(kind, '/api/v1')}/namespaces/{self.name}/{kind}/{name}".rstrip("/")

    def get(self, kind, name):
        return self.call("GET", self.path(kind, name))

    def create(self, kind, document):
        return self.call("POST", self.path(kind), document)

    def patch(self, kind, name, patch):
        """As `kubectl` would, and in its name."""
        path = f"{self.path(kind, name)}?fieldManager=kubectl"
        return self.call("PATCH", path, patch, "application/merge-patch+json")

    def scale(self, service, replicas):
        self.patch("deployments", f"hw-{service}/scale", {"spec": {"replicas": replicas}})

    def replicas(self, service):
        return self.get("deployments", f"hw-{service}")["spec"]["replicas"]

    def helm(self, command, *arguments, style="restful", user="admin", check=True):
        """Helm's command for the release `hw`."""
        chart = [style] if command in ("install", "upgrade") else []
        server = [f"--kube-apiserver=https://127.0.0.1:{self.server.port}", f"--kube-ca-file={self.server.certificate}"]
        access = [f"--namespace={self.name}", *server, f"--kube-token={user}"]
        return charts.helm(command, "hw", *chart, *arguments, *access, check=check)

    def refusal(self, command, *arguments, user="admin"):
        done = self.helm(command, *arguments, user=user, check=False)
        assert done.returncode, f"{command} {arguments} succeeded"
        return done.stderr


def run():
    """The server, as long as somebody asks for it."""
    with tempfile.TemporaryDirectory(prefix="hw-apiserver-") as folder:
        server = Server(folder)
        try:
            server.wait()
            yield server
        finally:
            server.close()
