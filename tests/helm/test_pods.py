"""How pods run: with as few rights as possible, watched, and replaced without anybody noticing."""

import re

import pytest

from charts import BY_GRPC, EVERY_SERVICE, ON_KAFKA, OWNERS, ROOT, SERVICES, STYLES, containers, find, pods, render

BOTH = pytest.mark.parametrize("production", [False, True])


@BOTH
@pytest.mark.parametrize("style", STYLES)
def test_no_container_has_more_rights_than_it_needs(style, production):
    for part, pod in pods(render(style, production=production)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, part
        assert spec["enableServiceLinks"] is False, part
        assert spec["securityContext"]["runAsNonRoot"] is True, part
        assert spec["securityContext"]["runAsUser"] > 0, part
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, part
        assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec), part
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, (part, container["name"])
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= {"emptyDir", "configMap", "secret"}, (part, volume)


@BOTH
@pytest.mark.parametrize("style", STYLES)
def test_every_container_says_what_it_needs_and_may_take(style, production):
    for part, pod in pods(render(style, production=production)):
        for container in containers(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), (part, container["name"])
            assert "memory" in container["resources"]["limits"], (part, container["name"])
        if part in SERVICES[style]:
            # Threads and password hashing go by it: without one, by the cores of the node, past the limit of memory.
            assert "cpu" in pod["spec"]["containers"][0]["resources"]["limits"]


@BOTH
@pytest.mark.parametrize("style", STYLES)
def test_every_container_that_stays_is_probed(style, production):
    for part, pod in pods(render(style, production=production)):
        if part == "test":
            continue
        for container in pod["spec"]["containers"]:
            assert {"livenessProbe", "readinessProbe"} <= set(container), part
            names = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for action in ("httpGet", "tcpSocket"):
                    if action in container.get(probe, {}):
                        assert container[probe][action]["port"] in names


RPC = ROOT / "shared" / "rpc" / "src" / "server"


def health_check(name=None):
    """A probe of Kubernetes that calls `grpc.health.v1`; without a name it asks for the server as a whole."""
    return {"grpc": {"port": 8080} | ({"service": name} if name else {})}


@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_only_the_probe_that_kills_nothing_asks_for_what_the_service_needs(style, service):
    """A pod whose database is away gets no calls, but is not killed for it: neither while it runs nor while it starts."""
    (container,) = find(render(style), "Deployment", service)["spec"]["template"]["spec"]["containers"]
    numbers = {"periodSeconds", "timeoutSeconds", "failureThreshold"}
    asked = {
        probe: {what: told for what, told in container[probe].items() if what not in numbers}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    by_grpc = (style, service) in BY_GRPC
    alive = {"httpGet": {"path": "/health", "port": "grpc" if by_grpc else "http"}}
    ready = {"httpGet": {"path": "/ready", "port": "http"}}
    assert asked == {
        "startupProbe": health_check("liveness") if by_grpc else alive,
        "livenessProbe": alive,
        "readinessProbe": health_check() if by_grpc else ready,
    }
    assert 'const LIVENESS: &str = "liveness";' in (RPC / "health.rs").read_text()


@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_a_service_is_replaced_without_refusing_a_request(style, service):
    deployment = find(render(style), "Deployment", service)
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    # The image has no shell that could sleep. After SIGTERM a service takes up to 19 s.
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    # DNS, by which pods are found that are called by gRPC, keeps what it has said for 30 s.
    assert pause >= (35 if (style, service) in BY_GRPC else 5)
    assert spec["terminationGracePeriodSeconds"] >= pause + 19


def test_calls_end_within_the_time_that_a_pod_has_for_them():
    (drain_ms,) = re.findall(r'env = "DRAIN_MS", default_value_t = ([\d_]+)', (RPC / "settings.rs").read_text())
    assert int(drain_ms) <= 10_000, "of the 19 s after SIGTERM 10 are theirs"


@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_service_budget_and_deployment_mean_the_same_pods(style, service):
    documents = render(style)
    labels = find(documents, "Deployment", service)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        find(documents, "Deployment", service)["spec"]["selector"]["matchLabels"],
        find(documents, "Service", service)["spec"]["selector"],
        find(documents, "PodDisruptionBudget", service)["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
        others = [pod["metadata"]["labels"] for part, pod in pods(documents) if part != service]
        assert not any(selector.items() <= other.items() for other in others)


@BOTH
@pytest.mark.parametrize("style", STYLES)
def test_a_drained_node_never_waits_for_ever(style, production):
    for service in SERVICES[style]:
        assert find(render(style, production=production), "PodDisruptionBudget", service)["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("style", STYLES)
def test_production_has_three_of_each_and_spreads_them(style):
    documents = render(style, production=True)
    for service in SERVICES[style]:
        spec = find(documents, "Deployment", service)["spec"]
        assert spec["replicas"] == 3
        constraints = spec["template"]["spec"]["topologySpreadConstraints"]
        assert len(constraints) == 2
        for constraint in constraints:
            assert constraint["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]


@BOTH
@pytest.mark.parametrize("style", STYLES)
def test_what_must_be_there_first_is_made_in_init_containers(style, production):
    """Never in hooks: `--atomic` waits for pods before it runs those that come after."""
    documents = render(style, production=production)
    for service in SERVICES[style]:
        spec = find(documents, "Deployment", service)["spec"]["template"]["spec"]
        expected = ["provision"] * (service in OWNERS[style]) + ["create-topics"] * (service in ON_KAFKA[style])
        assert [container["name"] for container in spec.get("initContainers", [])] == expected
    hooks = [
        d["metadata"]["annotations"]["helm.sh/hook"]
        for d in documents
        if "helm.sh/hook" in d["metadata"].get("annotations", {})
    ]
    assert hooks == ["test"]


@pytest.mark.parametrize("style", STYLES)
def test_a_volume_that_is_mounted_is_there(style):
    for settings in [dict(), dict(production=True)]:
        for document in render(style, **settings):
            for part, pod in pods([document]):
                volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])}
                claims = {claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])}
                mounted = {
                    mount["name"] for container in containers(pod) for mount in container.get("volumeMounts", [])
                }
                assert mounted == volumes | claims, part
