"""The charts install alone, and every object is one that Kubernetes knows."""

import functools
import json
import os
import re
import shutil

import kubernetes_validate
import pytest
import yaml

from charts import (
    CHARTS,
    EVENT_STYLES,
    KUBERNETES,
    ROOT,
    SERVICES,
    STYLES,
    STYLES_WITHOUT_KAFKA,
    WITH_BOOKINGS,
    containers,
    find,
    helm,
    parse,
    pods,
    render,
)
from cluster import Cluster

VARIANTS = {
    "default": dict(),
    "production": dict(production=True),
    "prefix": dict(settings=["ingress.pathPrefix=/hw"]),
    "no-ingress-no-policies": dict(settings=["ingress.enabled=false", "networkPolicy.enabled=false"]),
    "autoscaling": dict(settings=["services.gateway.autoscaling.enabled=true", "services.order.replicas=null"]),
}
# One file of definitions serves all objects of all tests.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


@pytest.mark.parametrize("style", STYLES)
def test_lint_has_nothing_to_say(style):
    helm("lint", "--strict", style)
    helm("lint", "--strict", style, f"--values={style}/production-values.yaml")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("style", STYLES)
def test_every_object_is_valid_to_the_letter(style, variant):
    settings = VARIANTS[variant].get("settings", [])
    documents = render(style, *settings, production=VARIANTS[variant].get("production", False))
    assert len(documents) > 15
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)
        assert document["metadata"]["namespace"] == "hw"


@pytest.mark.parametrize("style", STYLES)
def test_no_two_objects_are_the_same_one(style):
    names = [(d["kind"], d["metadata"]["name"]) for d in render(style)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("style", STYLES)
def test_the_oldest_kubernetes_is_served_and_an_older_one_refused(style):
    helm("template", "hw", style, f"--kube-version={KUBERNETES[0]}")
    assert "incompatible" in helm("template", "hw", style, "--kube-version=1.29.9", check=False).stderr


@pytest.mark.parametrize("style", STYLES)
def test_names_fit_even_if_the_release_has_the_longest_name(style):
    text = helm("template", "r" * 53, style, f"--kube-version={KUBERNETES[-1]}").stdout
    for document in parse(text):
        # A StatefulSet's pods carry its name and a hash of ten characters in a label.
        longest = 63 - len("-0123456789") if document["kind"] == "StatefulSet" else 63
        assert len(document["metadata"]["name"]) <= longest, document["metadata"]["name"]


@pytest.mark.parametrize("style", STYLES)
def test_the_library_chart_is_there_in_a_checkout_and_in_a_package(style, tmp_path):
    """As a link that git has, which Helm follows: `helm install helm/<style>` needs no step before."""
    link = CHARTS / style / "charts" / "common"
    assert link.is_symlink() and os.readlink(link) == "../../common"
    helm("package", style, f"--destination={tmp_path}")
    (package,) = tmp_path.iterdir()
    packed = helm("template", "hw", package, "--namespace=hw", f"--kube-version={KUBERNETES[-1]}").stdout
    assert len(parse(packed)) == len(render(style))


def copy_of_the_charts(folder):
    return shutil.copytree(CHARTS, folder / "helm", symlinks=True)


def assert_changes_of_common_arrive(charts, style):
    names = charts / "common" / "templates" / "_names.tpl"
    names.write_text(names.read_text().replace("part-of: arch-homework", "part-of: changed"))
    # Often, since Helm goes through charts of the same name in no order.
    for _ in range(10):
        text = helm("template", "hw", charts / style, f"--kube-version={KUBERNETES[-1]}").stdout
        assert "part-of: changed" in text and "part-of: arch-homework" not in text


@pytest.mark.parametrize("style", STYLES)
def test_building_dependencies_makes_no_second_library_chart(style, tmp_path):
    """Argo CD and Skaffold do so unasked."""
    charts = copy_of_the_charts(tmp_path)
    helm("dependency", "build", charts / style)
    assert "unpacked" in helm("dependency", "list", charts / style).stdout
    assert_changes_of_common_arrive(charts, style)


def test_a_packed_library_chart_that_was_left_behind_is_not_used(tmp_path):
    """As the other charts, which have the same `.helmignore`."""
    charts = copy_of_the_charts(tmp_path)
    helm("package", charts / "common", f"--destination={charts / STYLES[0] / 'charts'}")
    assert_changes_of_common_arrive(charts, STYLES[0])


LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
IMAGE = re.compile(r"[a-z0-9/.-]+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def labels_of(document):
    """All labels and selectors in it."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("labels", "matchLabels"):
                yield from value.items()
            else:
                yield from labels_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from labels_of(value)


@pytest.mark.parametrize("version", ["0.2.0+build.7", "0.2.0-rc.1+" + "20261127." * 8 + "1"])
@pytest.mark.parametrize("style", STYLES)
def test_a_version_that_names_its_build_is_fit_for_labels_and_images(style, version, tmp_path):
    helm("package", style, f"--version={version}", f"--app-version={version}", f"--destination={tmp_path}")
    (package,) = tmp_path.iterdir()
    documents = parse(helm("template", "hw", package, f"--kube-version={KUBERNETES[-1]}").stdout)
    for key, value in labels_of(documents):
        assert LABEL.fullmatch(value) and len(value) <= 63, (key, value)
    for part, pod in pods(documents):
        for container in containers(pod):
            assert IMAGE.fullmatch(container["image"]), (part, container["image"])


@pytest.mark.parametrize("style", STYLES)
def test_a_copy_without_links_works_too(style, tmp_path):
    """Where links cannot be had, `cp --dereference` makes a chart that is complete."""
    shutil.copytree(CHARTS / style, tmp_path / style)
    assert not (tmp_path / style / "charts" / "common").is_symlink()
    helm("template", "hw", tmp_path / style, f"--kube-version={KUBERNETES[-1]}")


FILES = [
    "values.yaml",
    "production-values.yaml",
    "values.schema.json",
    "templates/all.yaml",
    "templates/NOTES.txt",
    ".helmignore",
]


# What a chart with bookings has besides: the service with its place in the schema, and how long a booking may take.
OF_BOOKINGS = {
    "values.yaml": r"(?<=settings:)\n(      .*\n)+?      SAGA_DEADLINE_MS:(?= )|  ticket:\n(    .*\n)+",
    "production-values.yaml": r"  ticket: .*\n",
    "values.schema.json": r',\s+"ticket"(: \{[^}]+\})?',
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("style", STYLES)
def test_the_charts_differ_in_kafka_and_bookings_and_in_nothing_else(style, file):
    """All but templates/_style.tpl and the description, that is: like event-collab, or like that without Kafka."""
    own = (CHARTS / style / file).read_text().replace(style, "STYLE")
    expected = (CHARTS / "event-collab" / file).read_text().replace("event-collab", "STYLE")
    if style in WITH_BOOKINGS and file in OF_BOOKINGS:
        own, differences = re.subn(OF_BOOKINGS[file], "", own)
        assert differences == (1 if file == "production-values.yaml" else 2)
        own = own.replace('settings: "30000"', "settings: {}")
    if style in EVENT_STYLES:
        assert own == expected
    elif file.endswith(".json"):
        schema = json.loads(expected)
        del schema["properties"]["kafka"]
        schema["required"].remove("kafka")
        assert schema == json.loads(own)
    else:
        block = r"\n(# Kafka\.\n)?kafka:\n((  .*)?\n)*?(?=\n[^ ])"
        assert re.sub(block, "", expected) == own


@pytest.mark.parametrize("style", STYLES_WITHOUT_KAFKA)
def test_a_style_without_kafka_does_not_mention_it(style):
    documents = render(style) + render(style, production=True)
    assert "kafka" not in yaml.safe_dump(documents).lower()
    for file in ["values.yaml", "production-values.yaml", "values.schema.json"]:
        assert "kafka" not in (CHARTS / style / file).read_text().lower()


@pytest.mark.parametrize("style", STYLES)
def test_the_notes_name_the_next_command(style):
    # Helm 3 wants a cluster even for a dry run.
    with Cluster() as cluster:
        said = cluster.helm("install", "hw", style, "--dry-run=client").stdout
    assert "helm test hw --namespace hw --logs" in said
    assert "port-forward service/hw-gateway 8080:http" in said
    assert find(render(style), "Service", "gateway")["spec"]["ports"][0]["name"] == "http"


@pytest.mark.parametrize("style", STYLES)
def test_trial_servers_are_gone_in_production(style):
    assert {part for part, _ in pods(render(style, production=True))} == {*SERVICES[style], "test"}
    trial = {"database", "mail"} | ({"kafka"} if style in EVENT_STYLES else set())
    assert trial <= {part for part, _ in pods(render(style))}


@pytest.mark.parametrize("style", STYLES)
def test_the_chart_has_the_version_of_the_program(style):
    chart = yaml.safe_load((CHARTS / style / "Chart.yaml").read_text())
    workspace = (ROOT / "Cargo.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in workspace.split("[workspace.package]")[1].split("[")[0]
