"""Runs every test with each Helm that the charts are made for, or with those that its file names in `HELMS`."""

import os

import pytest

import charts

# They need an API server, and live/run brings it.
collect_ignore = [] if "APISERVER" in os.environ else ["live"]


def pytest_generate_tests(metafunc):
    metafunc.parametrize("helm_program", getattr(metafunc.module, "HELMS", charts.HELMS), indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def helm_program(request):
    charts.program = charts.HELMS[request.param]
