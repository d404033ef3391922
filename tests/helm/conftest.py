"""Runs every test with each Helm that the charts are made for, or with those that its file names in `HELMS`."""

import pytest

import charts


def pytest_generate_tests(metafunc):
    metafunc.parametrize("helm_program", getattr(metafunc.module, "HELMS", charts.HELMS), indirect=True, scope="session")


@pytest.fixture(scope="session", autouse=True)
def helm_program(request):
    charts.program = charts.HELMS[request.param]
