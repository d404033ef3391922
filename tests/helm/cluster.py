"""An API server that answers what Helm looks up, and nothing else."""

import base64
import http.server
import json
import threading

from charts import KUBERNETES, helm, parse

KINDS = {
    "v1": {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services", "Pod": "pods"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"},
}


class Cluster(http.server.ThreadingHTTPServer):
    """Knows the kinds that the charts use and the Secrets it is given, in namespace `hw`; takes no orders."""

    def __init__(self, secrets=None):
        answers = {
            "/version": {"major": "1", "minor": KUBERNETES[-1].split(".")[1], "gitVersion": f"v{KUBERNETES[-1]}"},
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
        }
        for version, kinds in KINDS.items():
            group = version.partition("/")[0]
            if "/" in version:
                entry = {"groupVersion": version, "version": "v1"}
                answers["/apis"]["groups"].append({"name": group, "versions": [entry], "preferredVersion": entry})
            resources = [
                {"name": plural, "namespaced": True, "kind": kind, "verbs": ["get"]} for kind, plural in kinds.items()
            ]
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            answers[path] = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": version,
                "resources": resources,
            }
        for name, data in (secrets or {}).items():
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            metadata = {
                "name": name,
                "namespace": "hw",
                # As an earlier release of this name has left it: Helm takes over nothing else.
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {"meta.helm.sh/release-name": "hw", "meta.helm.sh/release-namespace": "hw"},
            }
            answers[f"/api/v1/namespaces/hw/secrets/{name}"] = {
                "kind": "Secret",
                "apiVersion": "v1",
                "metadata": metadata,
                "data": encoded,
            }

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                answer = answers.get(self.path.partition("?")[0], missing)
                body = json.dumps(answer).encode()
                self.send_response(404 if answer is missing else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def helm(self, *arguments):
        server = [f"--kube-apiserver=http://127.0.0.1:{self.server_port}", "--disable-openapi-validation"]
        return helm(*arguments, "--namespace=hw", *server)

    def render(self, style, *settings):
        flags = [f"--kube-version={KUBERNETES[-1]}", "--dry-run=server"]
        return parse(self.helm("template", "hw", style, *flags, *(f"--set={setting}" for setting in settings)).stdout)
