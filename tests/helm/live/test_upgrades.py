"""What helm/README.md says of upgrades and rollbacks, done. Most templates are the same in all charts: one of them is enough."""

import base64

import pytest
import yaml

import charts
from server import Namespace, run

server = pytest.fixture(scope="session")(run)


@pytest.fixture
def namespace(server, request):
    # The name of a test has characters that a namespace's may not have.
    names = (c if c.isalnum() else "-" for c in request.node.name.lower().replace("test_", ""))
    return Namespace(server, "".join(names)[-60:].strip("-"))


@pytest.fixture
def applies_on_the_server(helm_program):
    """Helm 4 does, and so meets other owners of a field."""
    return charts.program == charts.HELMS["helm4"]


OTHER_SETTING = "--set=services.order.settings.LOG_FILTER=info"


@pytest.mark.parametrize("style", charts.STYLES)
def test_kubernetes_takes_every_chart_and_its_next_version(namespace, style):
    namespace.helm("install", style=style)
    namespace.helm("upgrade", OTHER_SETTING, style=style)
    for service in charts.OWNERS[style]:
        address = namespace.get("services", f"hw-{service}")["spec"]["clusterIP"]
        assert (address == "None") == ((style, service) in charts.BY_GRPC), service


@pytest.mark.parametrize("setting", ["replicas=null", "autoscaling.enabled=true"])
def test_a_number_left_open_stays_as_somebody_else_has_set_it(namespace, setting):
    left_open = f"--set=services.order.{setting}"
    namespace.helm("install", left_open)
    namespace.scale("order", 5)
    namespace.helm("upgrade", left_open, OTHER_SETTING)
    assert namespace.replicas("order") == 5
    namespace.helm("rollback", "1")
    assert namespace.replicas("order") == 5


def test_a_number_that_two_set_is_a_conflict_until_it_is_forced(namespace, applies_on_the_server):
    namespace.helm("install")
    namespace.scale("order", 5)
    if applies_on_the_server:
        assert ".spec.replicas" in namespace.refusal("upgrade", OTHER_SETTING)
        assert ".spec.replicas" in namespace.refusal("rollback", "1")
        namespace.helm("upgrade", "--force-conflicts")
    else:
        namespace.helm("upgrade", OTHER_SETTING)
    assert namespace.replicas("order") == 1


def test_a_number_that_is_left_open_from_now_on_is_kept_if_it_was_scaled_before(namespace, applies_on_the_server):
    namespace.helm("install", "--set=services.order.replicas=3", "--set=services.billing.replicas=3")
    namespace.scale("order", 4)
    namespace.helm("upgrade", "--set=services.order.replicas=null", "--set=services.billing.replicas=null")
    assert namespace.replicas("billing") == 1
    assert namespace.replicas("order") == (4 if applies_on_the_server else 1)


def read(namespace, secret, key):
    return base64.b64decode(namespace.get("secrets", secret)["data"][key]).decode()


def write(namespace, secret, key, value):
    namespace.patch("secrets", secret, {"data": {key: base64.b64encode(value.encode()).decode()}})


def test_a_rollback_knows_the_old_passwords_of_the_chart_s_own_secret(namespace, applies_on_the_server):
    namespace.helm("install")
    before = read(namespace, "hw-database", "order")
    write(namespace, "hw-database", "order", "rotated")
    namespace.helm("upgrade")
    assert read(namespace, "hw-database", "order") == "rotated"
    if applies_on_the_server:
        assert ".data.order" in namespace.refusal("rollback", "1")
    else:
        namespace.helm("rollback", "1")
        assert read(namespace, "hw-database", "order") == before


def test_a_password_of_an_existing_secret_is_rotated_and_outlives_a_rollback(namespace):
    def checksums():
        pods = [namespace.get("deployments", f"hw-{s}")["spec"]["template"] for s in ("billing", "order")]
        return [pod["metadata"]["annotations"]["checksum/secrets"] for pod in pods]

    namespace.helm("install")
    copied = {"metadata": {"name": "passwords"}, "data": namespace.get("secrets", "hw-database")["data"]}
    namespace.create("secrets", copied)
    namespace.helm("upgrade", "--set=postgresql.existingSecret=passwords")
    billing, order = checksums()
    write(namespace, "passwords", "order", "rotated")
    namespace.helm("upgrade", "--set=postgresql.existingSecret=passwords")
    # Pods of that service are replaced, and no others.
    assert checksums()[0] == billing and checksums()[1] != order
    namespace.helm("rollback", "2")
    assert read(namespace, "passwords", "order") == "rotated"
    # Still there, for a rollback that goes further.
    assert namespace.get("secrets", "hw-database")["data"] == copied["data"]


def test_storage_is_changed_when_the_set_is_made_anew(namespace):
    namespace.helm("install")
    larger = "--set=postgresql.storage=2Gi"
    assert "volumeClaimTemplates" in namespace.refusal("upgrade", larger)
    path = namespace.path("statefulsets", "hw-database")
    namespace.call("DELETE", f"{path}?propagationPolicy=Orphan")
    # What the garbage collector does when it has released the pods.
    namespace.patch("statefulsets", "hw-database", {"metadata": {"finalizers": None}})
    namespace.helm("upgrade", larger)
    (claim,) = namespace.get("statefulsets", "hw-database")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_an_upgrade_with_settings_forgets_those_that_it_does_not_repeat(namespace):
    def host():
        return namespace.get("ingresses", "hw-gateway")["spec"]["rules"][0]["host"]

    namespace.helm("install", "--set=ingress.host=shop.example.org")
    namespace.helm("upgrade", OTHER_SETTING, "--reset-then-reuse-values")
    assert host() == "shop.example.org"
    namespace.helm("upgrade")
    assert host() == "shop.example.org"
    namespace.helm("upgrade", OTHER_SETTING)
    assert host() == "arch.homework"


@pytest.mark.parametrize("missing", [None, "patch", "watch"])
def test_the_role_for_deploying_has_what_is_needed_and_no_more(namespace, missing, applies_on_the_server):
    role = yaml.safe_load((charts.CHARTS / "deployer-role.yaml").read_text())
    for rule in role["rules"]:
        rule["verbs"] = [verb for verb in rule["verbs"] if verb != missing]
    namespace.create("roles", role)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "deployer"}
    namespace.create("rolebindings", {"metadata": {"name": "deployer"}, "roleRef": reference, "subjects": [subject]})
    if missing == "patch" and applies_on_the_server:
        assert "cannot patch" in namespace.refusal("install", user="deployer")
        return
    namespace.helm("install", "--set=services.order.autoscaling.enabled=true", user="deployer")
    if missing == "patch":
        assert "cannot patch" in namespace.refusal("upgrade", OTHER_SETTING, user="deployer")
        return
    namespace.helm("upgrade", OTHER_SETTING, user="deployer")
    # Nothing gets ready here, so this ends with the time or with the right that is missing.
    waited = namespace.refusal("upgrade", "--wait", "--timeout=2s", user="deployer")
    assert ("cannot watch" in waited) == (missing == "watch" and applies_on_the_server)
    namespace.helm("uninstall", user="deployer")
