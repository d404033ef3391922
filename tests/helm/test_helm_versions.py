"""Helm 3 and Helm 4 make the same of the charts."""

import pytest

from charts import HELMS as PROGRAMS, STYLES, flags, rendered
from test_rendering import VARIANTS

# Both are run by the test itself.
HELMS = ["helm4"]


def lines(helm, style, variant):
    """Without empty ones, of which the two leave different numbers. With passwords that are not made up anew by each."""
    settings = [*variant.get("settings", []), "postgresql.existingSecret=theirs"]
    text = rendered(PROGRAMS[helm], style, flags(style, *settings, production=variant.get("production", False)))
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("style", STYLES)
def test_both_render_the_same(style, variant):
    assert lines("helm3", style, VARIANTS[variant]) == lines("helm4", style, VARIANTS[variant])
