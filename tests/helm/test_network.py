"""Who may talk to whom: the style's edges, held by NetworkPolicies, and the same as what the services are told."""

import pytest

from charts import BY_GRPC, EVENT_STYLES, EVERY_SERVICE, ON_KAFKA, OWNERS, SERVICES, STYLES, environment, find, pods, render

# By HTTP or gRPC, written down here once more: the templates and this must agree.
CALLS = {
    "restful": {
        "gateway": {"billing", "notification", "order"},
        "order": {"billing", "notification"},
        "billing": set(),
        "notification": set(),
    },
    "grpc": {
        "gateway": {"billing", "notification", "order"},
        "order": {"billing", "notification"},
        "billing": set(),
        "notification": set(),
    },
    "event-notifications": {
        "gateway": {"billing", "notification", "order"},
        "order": {"billing"},
        "billing": {"order"},
        "notification": {"billing", "order"},
    },
    "event-collab": {
        "gateway": {"billing", "notification", "order"},
        "order": set(),
        "billing": set(),
        "notification": set(),
    },
    "command-reply": {
        "gateway": {"billing", "notification", "order", "ticket"},
        "order": set(),
        "billing": set(),
        "notification": set(),
        "ticket": set(),
    },
}


def expected(style):
    edges = {("test", "gateway", 8080), ("notification", "mail", 1025)}
    edges |= {(caller, callee, 8080) for caller, callees in CALLS[style].items() for callee in callees}
    edges |= {(owner, "database", 5432) for owner in OWNERS[style]}
    edges |= {(service, "kafka", 9092) for service in ON_KAFKA[style]}
    return edges


def policies(documents):
    return [d for d in documents if d["kind"] == "NetworkPolicy"]


def parts_of(peer, documents):
    """The parts whose pods a peer's selector means, of this release."""
    assert set(peer) == {"podSelector"}, peer
    labels = peer["podSelector"]["matchLabels"]
    return {part for part, pod in pods(documents) if labels.items() <= pod["metadata"]["labels"].items()}


def edges(documents, direction):
    """Connections that policies allow in one direction; of those that leave or come from anywhere, None for the peer."""
    found = set()
    for policy in policies(documents):
        (part,) = parts_of({"podSelector": policy["spec"]["podSelector"]}, documents)
        for rule in policy["spec"].get(direction, []):
            peers = rule.get("from" if direction == "ingress" else "to")
            others = {None} if peers is None else set().union(*(parts_of(peer, documents) for peer in peers))
            for port in rule["ports"]:
                for other in others:
                    pair = (other, part) if direction == "ingress" else (part, other)
                    found.add((*pair, port["port"]))
    return found


@pytest.mark.parametrize("style", STYLES)
def test_only_the_edges_of_the_style_are_open(style):
    documents = render(style)
    opened = edges(documents, "egress")
    names = {edge for edge in opened if edge[1:] == (None, 53)}
    assert opened - names == expected(style)
    # From whoever opens connections, and from nobody else.
    assert {part for part, _, _ in names} == {part for part, _, _ in expected(style)}
    assert edges(documents, "ingress") == expected(style) | {(None, "gateway", 8080)}


@pytest.mark.parametrize("production", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_every_pod_has_one_policy_that_refuses_the_rest(style, production):
    documents = render(style, production=production)
    for part, pod in pods(documents):
        labels = pod["metadata"]["labels"]
        own = [p for p in policies(documents) if p["spec"]["podSelector"]["matchLabels"].items() <= labels.items()]
        assert len(own) == 1, part
        assert own[0]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert len(policies(documents)) == len(list(pods(documents)))


@pytest.mark.parametrize("style", STYLES)
def test_services_know_the_addresses_of_whom_they_may_call_and_of_nobody_else(style):
    documents = render(style)
    for service in SERVICES[style]:
        urls = {name: url for name, url in environment(documents, service).items() if str(url).startswith("http:")}
        assert urls == {f"{callee.upper()}_URL": f"http://hw-{callee}:8080" for callee in CALLS[style][service]}
        for callee in CALLS[style][service]:
            (port,) = find(documents, "Service", callee)["spec"]["ports"]
            assert port["port"] == 8080


@pytest.mark.parametrize("production", [False, True])
@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_who_is_called_by_grpc_is_found_pod_by_pod_and_others_behind_one_address(style, service, production):
    documents = render(style, production=production)
    spec = find(documents, "Service", service)["spec"]
    # Callers spread calls over whom the name stands for. A pod that is not ready must not be among them.
    assert spec.get("clusterIP") == ("None" if (style, service) in BY_GRPC else None)
    assert spec.get("publishNotReadyAddresses", False) is False
    assert spec.get("type", "ClusterIP") == "ClusterIP"
    protocol = "grpc" if (style, service) in BY_GRPC else "http"
    hint = {"appProtocol": "kubernetes.io/h2c"} if protocol == "grpc" else {}
    assert spec["ports"] == [{"name": protocol, "port": 8080, "targetPort": protocol, **hint}]
    # Nobody stands between who would change the port.
    (container,) = find(documents, "Deployment", service)["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": protocol, "containerPort": 8080}]


@pytest.mark.parametrize("style", STYLES)
def test_in_production_services_reach_external_servers_where_they_are(style):
    documents = render(style, production=True)
    for service in SERVICES[style]:
        egress = find(documents, "NetworkPolicy", service)["spec"]["egress"]
        outside = {
            rule["ports"][0]["port"] for rule in egress if rule.get("to") == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
        }
        used = {5432: service in OWNERS[style], 9093: service in ON_KAFKA[style], 465: service == "notification"}
        assert outside == {port for port, is_used in used.items() if is_used}


@pytest.mark.parametrize("style", STYLES)
def test_in_production_only_those_named_may_call_the_gateway_and_read_metrics(style):
    documents = render(style, production=True)
    for service in SERVICES[style]:
        ingress = find(documents, "NetworkPolicy", service)["spec"]["ingress"]
        assert all(rule.get("from") for rule in ingress), "a rule without from is open to everybody"
        namespaces = {
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for rule in ingress
            for peer in rule["from"]
            if "namespaceSelector" in peer
        }
        assert namespaces == {"monitoring"} | ({"ingress-nginx"} if service == "gateway" else set())


@pytest.mark.parametrize("style", EVENT_STYLES)
def test_every_port_of_the_external_brokers_is_open_once(style):
    brokers = r"a:9092\,b:9093\,c:9093"
    documents = render(style, "kafka.enabled=false", f"kafka.external.brokers={brokers}")
    opened = [
        rule["ports"] for rule in find(documents, "NetworkPolicy", "order")["spec"]["egress"] if "to" not in rule
    ]
    assert opened[:-1] == [[{"port": 9092}], [{"port": 9093}]]


@pytest.mark.parametrize("style", STYLES)
def test_policies_can_be_left_to_somebody_else(style):
    assert policies(render(style, "networkPolicy.enabled=false")) == []
