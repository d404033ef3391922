"""Passwords are made up once. What is there already is looked up: here with an API server that answers just that."""

import base64
import http.server
import json
import threading

import pytest
import yaml

from charts import KUBERNETES, STYLES, find, helm, render

KEYS = ["auditor", "billing", "notification", "order", "postgres"]
KINDS = {
    "v1": {"Secret": "secrets", "ConfigMap": "configmaps", "Service": "services", "Pod": "pods"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"},
}


class Cluster(http.server.ThreadingHTTPServer):
    """Knows the kinds that the charts use and the Secrets it is given, in namespace `hw`; takes no orders."""

    def __init__(self, secrets):
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
        for name, data in secrets.items():
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

    def render(self, style, *settings):
        flags = [
            "--dry-run=server",
            "--disable-openapi-validation",
            f"--kube-apiserver=http://127.0.0.1:{self.server_port}",
        ]
        text = helm(
            "template", "hw", style, "--namespace=hw", *flags, *(f"--set={setting}" for setting in settings)
        ).stdout
        return [document for document in yaml.safe_load_all(text) if document]


def passwords(documents):
    data = find(documents, "Secret", "database")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def checksum(documents, service):
    return find(documents, "Deployment", service)["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]


@pytest.mark.parametrize("style", STYLES)
def test_at_first_every_role_gets_a_long_password_of_its_own(style):
    made_up = passwords(render(style))
    assert sorted(made_up) == KEYS
    assert len(set(made_up.values())) == len(KEYS)
    assert min(len(password) for password in made_up.values()) >= 32


@pytest.mark.parametrize("style", STYLES)
def test_an_upgrade_keeps_passwords_and_pods(style):
    there = {key: f"kept-{key}" for key in KEYS}
    with Cluster({"hw-database": there}) as cluster:
        first, second = cluster.render(style), cluster.render(style)
    assert passwords(first) == passwords(second) == there
    for service in ("billing", "gateway", "notification", "order"):
        assert checksum(first, service) == checksum(second, service)


@pytest.mark.parametrize("style", STYLES)
def test_the_first_upgrade_does_not_replace_pods(style):
    """What is made up and its checksum come from one evaluation of the template."""
    first = render(style)
    with Cluster({"hw-database": passwords(first)}) as cluster:
        upgraded = cluster.render(style)
    assert passwords(upgraded) == passwords(first)
    assert checksum(upgraded, "order") == checksum(first, "order")


@pytest.mark.parametrize("style", STYLES)
def test_a_password_that_is_missing_is_added_and_the_others_stay(style):
    with Cluster({"hw-database": {"billing": "kept"}}) as cluster:
        documents = cluster.render(style)
    completed = passwords(documents)
    assert completed.pop("billing") == "kept"
    assert sorted(completed) == [key for key in KEYS if key != "billing"]
    assert min(len(password) for password in completed.values()) >= 32


@pytest.mark.parametrize("style", STYLES)
def test_another_password_means_other_pods_of_that_service_alone(style):
    before = {key: key for key in KEYS}
    with Cluster({"hw-database": before}) as cluster:
        old = cluster.render(style)
    with Cluster({"hw-database": before | {"order": "changed"}}) as cluster:
        new = cluster.render(style)
    changed = {
        service
        for service in ("billing", "gateway", "notification", "order")
        if checksum(old, service) != checksum(new, service)
    }
    assert changed == {"order"}


@pytest.mark.parametrize("style", STYLES)
def test_passwords_stay_when_the_release_goes(style):
    """So do the volumes, which nobody could open without them."""
    documents = render(style)
    assert find(documents, "Secret", "database")["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    for document in documents:
        if document["kind"] == "StatefulSet":
            retention = document["spec"].get("persistentVolumeClaimRetentionPolicy", {})
            assert retention.get("whenDeleted", "Retain") == "Retain"


@pytest.mark.parametrize("style", STYLES)
def test_an_existing_secret_is_used_as_it_is(style):
    theirs = {key: f"theirs-{key}" for key in KEYS}
    with Cluster({"theirs": theirs}) as cluster:
        old = cluster.render(style, "postgresql.existingSecret=theirs")
    with Cluster({"theirs": theirs | {"billing": "changed"}}) as cluster:
        new = cluster.render(style, "postgresql.existingSecret=theirs")
    assert not [d for d in old if d["kind"] == "Secret"]
    assert "hw-database" not in {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for d in old
        if d["kind"] in ("Deployment", "StatefulSet")
        for container in d["spec"]["template"]["spec"].get("initContainers", [])
        + d["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
    assert checksum(old, "billing") != checksum(new, "billing")
    assert checksum(old, "order") == checksum(new, "order")
