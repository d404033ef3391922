"""Passwords are made up once. What is there already is looked up: here with an API server that answers just that."""

import base64

import pytest

from charts import OWNERS, SERVICES, STYLES, find, render
from cluster import Cluster

KEYS = {style: sorted(["auditor", "postgres", *OWNERS[style]]) for style in STYLES}


def passwords(documents):
    data = find(documents, "Secret", "database")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def checksum(documents, service):
    return find(documents, "Deployment", service)["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"]


@pytest.mark.parametrize("style", STYLES)
def test_at_first_every_role_gets_a_long_password_of_its_own(style):
    made_up = passwords(render(style))
    assert sorted(made_up) == KEYS[style]
    assert len(set(made_up.values())) == len(KEYS[style])
    assert min(len(password) for password in made_up.values()) >= 32


@pytest.mark.parametrize("style", STYLES)
def test_an_upgrade_keeps_passwords_and_pods(style):
    there = {key: f"kept-{key}" for key in KEYS[style]}
    with Cluster({"hw-database": there}) as cluster:
        first, second = cluster.render(style), cluster.render(style)
    assert passwords(first) == passwords(second) == there
    for service in SERVICES[style]:
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
    assert sorted(completed) == [key for key in KEYS[style] if key != "billing"]
    assert min(len(password) for password in completed.values()) >= 32


@pytest.mark.parametrize("style", STYLES)
def test_another_password_means_other_pods_of_that_service_alone(style):
    before = {key: key for key in KEYS[style]}
    with Cluster({"hw-database": before}) as cluster:
        old = cluster.render(style)
    with Cluster({"hw-database": before | {"order": "changed"}}) as cluster:
        new = cluster.render(style)
    changed = {service for service in SERVICES[style] if checksum(old, service) != checksum(new, service)}
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
    theirs = {key: f"theirs-{key}" for key in KEYS[style]}
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
