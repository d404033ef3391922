"""How many pods a service has: as the chart says, or as somebody else does. What is not rendered is not Helm's to change."""

import pytest

from charts import EVERY_SERVICE, STYLES, SERVICES, find, refusal, render


def replicas(documents, service):
    """None if the chart leaves it open."""
    return find(documents, "Deployment", service)["spec"].get("replicas")


def autoscalers(documents):
    return [d for d in documents if d["kind"] == "HorizontalPodAutoscaler"]


@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_replicas_can_be_left_to_somebody_else(style, service):
    documents = render(style, f"services.{service}.replicas=null")
    assert {s: replicas(documents, s) for s in SERVICES[style]} == {s: None if s == service else 1 for s in SERVICES[style]}
    assert autoscalers(documents) == []


@pytest.mark.parametrize("style,service", EVERY_SERVICE)
def test_an_autoscaler_has_the_number_for_itself(style, service):
    block = f"services.{service}.autoscaling"
    documents = render(
        style,
        f"services.{service}.replicas=3",
        *(f"{block}.{setting}" for setting in ["enabled=true", "minReplicas=3", "maxReplicas=12", "averageCPU=750m"]),
    )
    assert {s: replicas(documents, s) for s in SERVICES[style]} == {s: None if s == service else 1 for s in SERVICES[style]}
    (autoscaler,) = autoscalers(documents)
    deployment = find(documents, "Deployment", service)
    assert autoscaler["spec"] == {
        "scaleTargetRef": {
            "apiVersion": deployment["apiVersion"],
            "kind": "Deployment",
            "name": deployment["metadata"]["name"],
        },
        "minReplicas": 3,
        "maxReplicas": 12,
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "750m"}}}
        ],
    }


@pytest.mark.parametrize("style", STYLES)
def test_bounds_that_cross_are_refused_by_name(style):
    block = "services.order.autoscaling"
    said = refusal(style, f"{block}.enabled=true", f"{block}.minReplicas=4", f"{block}.maxReplicas=3")
    assert "services.order.autoscaling: minReplicas is more than maxReplicas" in said
