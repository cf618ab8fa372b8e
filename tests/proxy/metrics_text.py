"""What `/metrics` says, read as Prometheus reads it."""

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.proxy.conftest import Gateway


def families(gateway: Gateway) -> dict[str, Metric]:
    text = gateway.client.get("/metrics", headers={"Authorization": ""}).text
    return {family.name: family for family in text_string_to_metric_families(text)}


def metric(gateway: Gateway, sample: str, **labels: str) -> float:
    """The sum of the samples of that name which carry these labels."""
    return total(families(gateway).values(), sample, **labels)


def total(found: Iterable[Metric], sample: str, **labels: str) -> float:
    return sum(
        line.value
        for family in found
        for line in family.samples
        if line.name == sample and labels.items() <= line.labels.items()
    )
