"""`GET /metrics` of the admin listener: the ledger in figures, for Prometheus.

What a process alone knows (latencies, errors) each process tells itself: see otel/README.md. So it makes no difference
which of several gateways is asked, and one is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.responses import Response

from gateway.dead import admitted
from gateway.ledger.gauges import measure
from gateway.problem import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric
    from starlette.requests import Request

    from otel.instruments import Instrument, Measure

TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def show_metrics(request: Request) -> Response:
    """Give the ledger in figures, in Prometheus' text format; needs the scope `read`."""
    gate, _ = await admitted(request, "read")
    return Response(render(await measure(gate.ledger)), media_type=TEXT, headers=GUARD)


def render(measures: Sequence[Measure]) -> bytes:
    """Write measures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Measured(measures))
    return generate_latest(registry)


class Measured:
    """What prometheus_client collects from."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        """Take the measures."""
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        """Give a family per instrument."""
        families: dict[Instrument, CounterMetricFamily | GaugeMetricFamily] = {}
        for instrument, labels, value in self._measures:
            if instrument not in families:
                family = CounterMetricFamily if instrument.kind == "counter" else GaugeMetricFamily
                named = [one.replace(".", "_") for one in instrument.labels]
                families[instrument] = family(instrument.prometheus, instrument.what, labels=named)
            families[instrument].add_metric([labels[one] for one in instrument.labels], value)
        yield from families.values()
