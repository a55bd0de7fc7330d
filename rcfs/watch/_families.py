"""The families of metrics that Prometheus's client writes, from samples that may be unknown."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Labels = tuple[str, ...]
Samples = Sequence[tuple[Labels, float | None]]


def gauge(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    """A gauge; a sample without a value is left out."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def counter(name: str, text: str, samples: Samples, *labels: str) -> Metric:
    """A counter, whose name gets the suffix ``_total``; a sample without a value is left out."""
    return _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Samples) -> Metric:
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, value)
    return family


def seconds(text: str | None) -> float | None:
    """Seconds since 1970 UTC of a time in the status; None if it is not known."""
    return None if text is None else datetime.fromisoformat(text).timestamp()
