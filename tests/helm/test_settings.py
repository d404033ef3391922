"""What services are told, and what the charts refuse to be told."""

import re

import pytest
import yaml

from charts import (
    CHARTS,
    EVENT_STYLES,
    ON_KAFKA,
    OWNERS,
    ROOT,
    SERVICES,
    STYLES,
    STYLES_WITHOUT_KAFKA,
    WITH_BOOKINGS,
    containers,
    environment,
    find,
    refusal,
    render,
)


@pytest.mark.parametrize("style", STYLES)
def test_every_variable_is_a_setting_of_the_program(style):
    """A name with a slip in it would be ignored by the program, and nobody would know."""
    sources = [*(ROOT / style / "src").rglob("*.rs"), *(ROOT / "shared").glob("*/src/**/*.rs")]
    known = set(re.findall(r'env = "([A-Z0-9_]+)"', "".join(source.read_text() for source in sources)))
    assert {"LISTEN", "DATABASE_URL", "SMTP_URL"} <= known
    for production in (False, True):
        for service in SERVICES[style]:
            told = set(environment(render(style, production=production), service))
            # This one is read by the database client.
            assert told - {"PGPASSWORD"} <= known, service


@pytest.mark.parametrize("style", STYLES)
def test_required_settings_are_there(style):
    documents = render(style)
    for service in SERVICES[style]:
        told = environment(documents, service)
        assert told["LISTEN"] == "0.0.0.0:8080"
        assert ("DATABASE_URL" in told) == (service in OWNERS[style])
        assert ("SMTP_URL" in told) == (service == "notification")
        assert ("KAFKA_BROKERS" in told) == (service in ON_KAFKA[style])


@pytest.mark.parametrize("style", STYLES)
def test_each_service_has_its_own_role_and_no_password_but_its_own(style):
    documents = render(style)
    database = style.replace("-", "_")
    for service in OWNERS[style]:
        told = environment(documents, service)
        assert told["DATABASE_URL"] == f"postgres://{database}_{service}@hw-database:5432/{database}?sslmode=disable"
        assert told["PGPASSWORD"] == ("hw-database", service)
    assert "PGPASSWORD" not in environment(documents, "gateway")


@pytest.mark.parametrize("style", STYLES)
def test_production_uses_tls_and_the_secrets_that_are_there(style):
    documents = render(style, production=True)
    assert not [d for d in documents if d["kind"] == "Secret"]
    told = environment(documents, "order")
    assert "@postgresql.example.org:5432/" in told["DATABASE_URL"]
    assert told["DATABASE_URL"].endswith("?sslmode=verify-full&sslrootcert=/etc/tls/postgresql/ca.crt")
    assert told["PGPASSWORD"] == (f"{style}-database", "order")
    assert environment(documents, "notification")["SMTP_URL"] == ("smtp", "url")
    for service in ON_KAFKA[style]:
        told = environment(documents, service)
        assert told["KAFKA_SECURITY_PROTOCOL"] == "sasl_ssl"
        assert told["KAFKA_SSL_CA_LOCATION"] == "/etc/tls/kafka/ca.crt"
        assert told["KAFKA_SASL_PASSWORD"] == (f"{style}-kafka", "password")
        assert told["KAFKA_REPLICATION"] == "3"


@pytest.mark.parametrize("style", STYLES)
def test_the_administrator_s_password_reaches_init_containers_only(style):
    for settings, secret in [
        (dict(production=True), ("postgresql-admin", "password")),
        (dict(), ("hw-database", "postgres")),
    ]:
        documents = render(style, **settings)
        for service in SERVICES[style]:
            for container in containers(find(documents, "Deployment", service)["spec"]["template"]):
                references = [e["valueFrom"]["secretKeyRef"] for e in container.get("env", []) if "valueFrom" in e]
                has = secret in [(reference["name"], reference["key"]) for reference in references]
                assert has == (container["name"] == "provision"), (service, container["name"])


@pytest.mark.parametrize("style", EVENT_STYLES)
def test_topics_are_created_with_the_settings_of_the_service(style):
    for production in (False, True):
        pod = find(render(style, production=production), "Deployment", "order")["spec"]["template"]["spec"]
        create, service = pod["initContainers"][-1], pod["containers"][0]
        assert create["args"] == ["create-topics"] and create["image"] == service["image"]
        assert create["envFrom"] == service["envFrom"]
        kafka = [e for e in service["env"] if e["name"].startswith("KAFKA_")]
        assert create.get("env", []) == kafka
        mounts = [m for m in service.get("volumeMounts", []) if m["name"].startswith("kafka")]
        assert create.get("volumeMounts", []) == mounts


@pytest.mark.parametrize("style", EVENT_STYLES)
def test_the_trial_broker_is_told_to_clients_by_a_name_that_leads_to_it(style):
    documents = render(style)
    (container,) = find(documents, "StatefulSet", "kafka")["spec"]["template"]["spec"]["containers"]
    told = {e["name"]: e["value"] for e in container["env"]}
    assert told["KAFKA_ADVERTISED_LISTENERS"] == "CLIENTS://hw-kafka:9092"
    assert find(documents, "Service", "kafka")["spec"]["ports"][0]["port"] == 9092
    assert environment(documents, "order")["KAFKA_BROKERS"] == "hw-kafka:9092"
    # One broker cannot hold three copies, whatever is asked of external ones.
    assert environment(documents, "order")["KAFKA_REPLICATION"] == "1"


@pytest.mark.parametrize("style", STYLES)
def test_settings_of_the_user_win_and_those_of_a_service_are_its_own(style):
    documents = render(
        style,
        "settings.LOG_FILTER=debug",
        "services.order.settings.LOG_FILTER=warn",
        "services.order.settings.LISTEN=[::]:8080",
    )
    assert environment(documents, "billing")["LOG_FILTER"] == "debug"
    assert environment(documents, "order")["LOG_FILTER"] == "warn"
    assert environment(documents, "order")["LISTEN"] == "[::]:8080"
    assert environment(documents, "billing")["LISTEN"] == "0.0.0.0:8080"


@pytest.mark.parametrize("style", EVENT_STYLES)
def test_the_trial_broker_has_the_version_that_the_tests_run_on(style):
    (container,) = find(render(style), "StatefulSet", "kafka")["spec"]["template"]["spec"]["containers"]
    pom = (ROOT / "tests" / "infra" / "kafka" / "pom.xml").read_text()
    assert f"<kafka.version>{container['image'].partition(':')[2]}</kafka.version>" in pom


@pytest.mark.parametrize("style,service", [(style, s) for style in STYLES for s in SERVICES[style]])
def test_a_service_that_does_not_use_kafka_gets_nothing_of_it(style, service):
    """No address, no password, no certificate."""
    documents = render(style, production=True)
    found = [find(documents, "ConfigMap", service)["data"], find(documents, "Deployment", service)]
    assert ("kafka" in yaml.safe_dump(found).lower()) == (service in ON_KAFKA[style])


@pytest.mark.parametrize("style", WITH_BOOKINGS)
def test_the_order_service_is_told_how_long_a_booking_may_take(style):
    def told(*settings):
        documents = render(style, *settings)
        return {s: environment(documents, s).get("SAGA_DEADLINE_MS") for s in SERVICES[style]}

    program = (ROOT / "shared" / "orchestration" / "src" / "deadlines.rs").read_text()
    (default,) = re.findall(r'env = "SAGA_DEADLINE_MS", default_value_t = ([\d_]+)', program)
    expected = dict.fromkeys(SERVICES[style]) | {"order": default.replace("_", "")}
    # Somebody's own settings of the service are added to it.
    assert told() == told("services.order.settings.LOG_FILTER=warn") == expected


def checksums(documents, service):
    return find(documents, "Deployment", service)["spec"]["template"]["metadata"]["annotations"]


@pytest.mark.parametrize("style", STYLES)
def test_another_setting_means_other_pods_of_that_service_alone(style):
    before, after = render(style), render(style, "services.order.settings.LOG_FILTER=warn")
    changed = {
        s for s in SERVICES[style] if checksums(before, s)["checksum/settings"] != checksums(after, s)["checksum/settings"]
    }
    assert changed == {"order"}


@pytest.mark.parametrize("style", STYLES)
def test_without_a_prefix_the_ingress_changes_nothing(style):
    ingress = find(render(style), "Ingress", "gateway")
    assert "annotations" not in ingress["metadata"]
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "arch.homework"
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert path["backend"]["service"] == {"name": "hw-gateway", "port": {"name": "http"}}


@pytest.mark.parametrize("prefix", ["/hw", "/hw/"])
@pytest.mark.parametrize("style", STYLES)
def test_nginx_takes_the_prefix_off(style, prefix):
    ingress = find(render(style, f"ingress.pathPrefix={prefix}"), "Ingress", "gateway")
    annotations = ingress["metadata"]["annotations"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert annotations["nginx.ingress.kubernetes.io/use-regex"] == "true"
    assert path["pathType"] == "ImplementationSpecific"
    target = annotations["nginx.ingress.kubernetes.io/rewrite-target"].replace("$", "\\")
    for asked, passed_on in [("/hw/orders/1", "/orders/1"), ("/hw", "/"), ("/hw/", "/")]:
        assert re.sub(f"^{path['path']}", target, asked) == passed_on
    assert not re.match(f"^{path['path']}", "/hwx/orders")


@pytest.mark.parametrize("style", STYLES)
def test_traefik_takes_the_prefix_off(style):
    documents = render(style, "ingress.pathPrefix=/hw", "ingress.rewrite=traefik")
    ingress = find(documents, "Ingress", "gateway")
    assert ingress["metadata"]["annotations"] == {
        "traefik.ingress.kubernetes.io/router.middlewares": "hw-hw-gateway@kubernetescrd"
    }
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/hw", "Prefix")
    assert find(documents, "Middleware", "gateway")["spec"] == {"stripPrefix": {"prefixes": ["/hw"]}}


@pytest.mark.parametrize("style", STYLES)
def test_any_other_ingress_controller_is_served_by_annotations(style):
    documents = render(style, "ingress.pathPrefix=/hw", "ingress.rewrite=none", "ingress.annotations.example/rewrite=/")
    ingress = find(documents, "Ingress", "gateway")
    assert ingress["metadata"]["annotations"] == {"example/rewrite": "/"}
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/hw"
    assert not [d for d in documents if d["kind"] == "Middleware"]


def objects_of(schema):
    """Every part of a schema that describes an object with known members."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects_of(value)


@pytest.mark.parametrize("style", STYLES)
def test_the_schema_knows_every_value_and_refuses_all_others(style):
    schema = yaml.safe_load((CHARTS / style / "values.schema.json").read_text())
    for part in objects_of(schema):
        assert part["additionalProperties"] is False, list(part["properties"])
    values = yaml.safe_load((CHARTS / style / "values.yaml").read_text())
    assert list(values) == schema["required"]
    assert set(schema["properties"]) - set(values) == {"global", "common"}
    for unknown in [
        "replicas=2",
        "services.order.replica=2",
        "postgresql.external.hosts=a",
        "ingress.path=/",
        "mail.external.url=a",
    ]:
        assert "additional properties" in refusal(style, unknown)


@pytest.mark.parametrize(
    "setting, named",
    [
        ("services.order.replicas=0", "/services/order/replicas"),
        ("settings.logFilter=info", "at '/settings': additional properties 'logFilter' not allowed"),
        ("services.order.settings.logFilter=a", "at '/services/order/settings': additional properties 'logFilter' not allowed"),
        ("services.order.autoscaling.averageCPU=half", "/services/order/autoscaling/averageCPU"),
        ("image.tag=0.2.0+7", "/image/tag"),
        ("settings.LOG_FILTER=1", "/settings/LOG_FILTER"),
        ("postgresql.external.sslMode=prefer", "/postgresql/external/sslMode"),
        ("postgresql.database=Order-1", "/postgresql/database"),
        ("ingress.pathPrefix=hw", "/ingress/pathPrefix"),
        ("ingress.rewrite=contour", "/ingress/rewrite"),
        ("topologySpreadConstraints[0].labelSelector.matchLabels.a=b", "/topologySpreadConstraints/0"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_a_wrong_value_is_refused_by_name(style, setting, named):
    assert named in refusal(style, setting)


@pytest.mark.parametrize(
    "settings, named",
    [
        (["postgresql.enabled=false"], "postgresql.external.host"),
        (["postgresql.enabled=false", "postgresql.external.host=a"], "postgresql.external.caSecret"),
        (
            ["postgresql.enabled=false", "postgresql.external.host=a", "postgresql.external.sslMode=require"],
            "postgresql.external.adminSecret",
        ),
        (
            [
                "postgresql.enabled=false",
                "postgresql.external.host=a",
                "postgresql.external.sslMode=require",
                "postgresql.provision=false",
            ],
            "postgresql.existingSecret",
        ),
        (["mail.enabled=false"], "mail.external.urlSecret"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_what_an_external_server_needs_is_asked_for_by_name(style, settings, named):
    assert named in refusal(style, *settings)


@pytest.mark.parametrize("style", EVENT_STYLES)
def test_external_brokers_have_to_be_named(style):
    assert "kafka.external.brokers" in refusal(style, "kafka.enabled=false")


@pytest.mark.parametrize("style", STYLES_WITHOUT_KAFKA)
def test_a_style_without_kafka_refuses_settings_of_it(style):
    assert "'kafka' not allowed" in refusal(style, "kafka.enabled=true")
