"""What is written for who installs the charts, beside the charts."""

import re

import pytest
import yaml

from charts import CHARTS, ON_KAFKA, ROOT, STYLES, WITH_BOOKINGS, find, helm, render
from test_rendering import VARIANTS

# Kinds that Kubernetes names otherwise than by an appended "s".
PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


@pytest.mark.parametrize("style", STYLES)
def test_helm_shows_a_page_of_the_chart(style):
    page = helm("show", "readme", style).stdout
    assert f"# Chart {style}" in page
    # Its own commands, and every setting in the order of values.yaml.
    assert set(re.findall(r"helm/([a-z-]+) --namespace", page)) == {style}
    values = yaml.safe_load((CHARTS / style / "values.yaml").read_text())
    settings = page.partition("## Settings")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", settings, re.MULTILINE) == list(values)
    for service in values["services"]:
        assert f"`{service}`" in page


@pytest.mark.parametrize("style", WITH_BOOKINGS)
def test_the_page_names_every_topic_and_who_reads_it(style):
    # Replies are documented with what is answered, and so beside nobody's name.
    readers = {"order-updates": "order"}
    for service in ON_KAFKA[style]:
        document = yaml.safe_load((ROOT / "api-specs" / style / f"{service}.asyncapi.yaml").read_text())
        for operation in document["operations"].values():
            if operation["action"] == "receive":
                readers[operation["channel"]["$ref"].rpartition("/")[2]] = service
    page = helm("show", "readme", style).stdout
    assert dict(re.findall(r"^\| `([a-z-]+)` \|.*\| `(\w+)`[^|]*\|$", page, re.MULTILINE)) == readers


@pytest.mark.parametrize("variant", [*VARIANTS.values(), dict(settings=["ingress.rewrite=traefik", "ingress.pathPrefix=/hw"])])
@pytest.mark.parametrize("style", STYLES)
def test_the_role_for_deploying_covers_every_object(style, variant):
    rules = yaml.safe_load((CHARTS / "deployer-role.yaml").read_text())["rules"]
    allowed = {
        (group, resource): set(rule["verbs"])
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for document in render(style, *variant.get("settings", []), production=variant.get("production", False)):
        group = document["apiVersion"].rpartition("/")[0]
        resource = PLURALS.get(document["kind"], document["kind"].lower() + "s")
        # Helm 4 creates by `patch`, and waits by `watch`.
        needed = {"get", "list", "watch", "create", "update", "patch", "delete"}
        assert needed <= allowed.get((group, resource), set()), (group, resource)


@pytest.mark.parametrize("style", STYLES)
def test_the_command_that_is_written_down_finds_all_that_an_uninstallation_leaves(style):
    page = (CHARTS / "README.md").read_text()
    (kinds, key, value) = re.search(r"kubectl .* delete (\S+) --selector (\S+)=(\S+)", page).groups()
    documents = render(style)
    assert kinds.split(",") == ["pod", "secret", "pvc"]
    for kind, name in [("Pod", "test"), ("Secret", "database")]:
        assert find(documents, kind, name)["metadata"]["labels"][key] == value
    for document in documents:
        if document["kind"] == "StatefulSet":
            # Kubernetes gives these labels to its claims.
            assert document["spec"]["selector"]["matchLabels"][key] == value
