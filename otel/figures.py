"""Pushes what the ledger knows by OTLP: figures that one process reads for all, under one identity.

They are of the ledger, not of a process: the service is `hookmill-ledger`, whichever gateway has read them, so a series
goes on when another one does.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from otel import instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

    from opentelemetry.metrics import CallbackOptions
    from opentelemetry.sdk.metrics.export import MetricExporter

    from otel.instruments import Instrument, Measure

NAME = "hookmill-ledger"


class Figures:
    """Exports measures that it is given, each once."""

    def __init__(self, exporter: MetricExporter, *, every: timedelta) -> None:
        """Take how they leave, and how often somebody is to read the ledger."""
        self.every = every
        self._told: dict[str, list[Observation]] = {}
        self._export = threading.Thread()
        resource = Resource.create({"service.name": NAME, "service.instance.id": NAME})
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("hookmill")
        for one in (one for one in instruments.INSTRUMENTS if one.of_ledger):
            make = meter.create_observable_counter if one.kind == "counter" else meter.create_observable_gauge
            make(one.name, [self._looking_for(one)], one.unit, one.what)

    def push(self, measures: Sequence[Measure]) -> None:
        """Export them, in a thread: nobody waits. While the last export lasts they are dropped, for newer will come."""
        if self._export.is_alive():
            return
        for instrument, labels, value in measures:
            self._told.setdefault(instrument.name, []).append(Observation(value, labels))
        self._export = threading.Thread(target=self._provider.force_flush, daemon=True)
        self._export.start()

    def _looking_for(self, instrument: Instrument) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def look(_: CallbackOptions) -> Iterable[Observation]:
            return self._told.pop(instrument.name, ())

        return look
