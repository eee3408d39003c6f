"""Sets telemetry up for one process, from the standard `OTEL_*` variables.

Without an endpoint it is off and costs nothing: no exporter is imported, no thread is started. Call it after the fork:
an exporter that was used before it shares its connection with its children.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from otel.trails import all_sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel.figures import Figures
    from otel.records import Listener
    from otel.trails import Samples

FLUSH = timedelta(seconds=2.5)
"""How long an end may wait for what is not exported yet."""

PATIENCE = timedelta(seconds=2)
"""How long a collector may take for one export, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise."""

ENDPOINT, TIMEOUT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT"
INTERVAL, SHORTEST = "OTEL_METRIC_EXPORT_INTERVAL", timedelta(milliseconds=100)
LEAST_MS = 100  # a timeout of at least so much is taken for milliseconds

logger = logging.getLogger("hookmill")


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """Who is told of records, which traces are made, what pushes the ledger's figures, what flushes and ends all."""

    listeners: tuple[Listener, ...] = ()
    samples: Samples = all_sampled
    figures: Figures | None = None
    endings: tuple[Callable[[], None], ...] = ()

    def stop(self, within: timedelta = FLUSH) -> None:
        """Export what is left, as far as that goes in the time; a collector that hangs is left behind."""
        threads = [threading.Thread(target=one, daemon=True) for one in self.endings]
        for one in threads:
            one.start()
        waiter = threading.Event()
        threading.Thread(target=_join, args=(threads, waiter), daemon=True).start()
        if threads and not waiter.wait(within.total_seconds()):
            logger.warning("telemetry: the collector did not take what was left within %s", within)


OFF = Telemetry()


def set_up_telemetry(env: Mapping[str, str], *, name: str) -> Telemetry:
    """Start what the environment asks for, under the service name `hookmill-{name}` unless OTEL_SERVICE_NAME is set.

    Traces go out where there is an endpoint, metrics also where OTEL_METRICS_EXPORTER names `prometheus`.
    """
    said = {key: value.strip() for key, value in env.items() if key.startswith("OTEL_") and value.strip()}
    if said.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return OFF
    traces, metrics = wanted(said, "TRACES"), wanted(said, "METRICS")
    if not traces and not metrics:
        return OFF
    from otel.export import start  # noqa: PLC0415 - the SDK is loaded only where it is used

    return start(said, name=name, traces=traces, metrics=metrics, timeout=read_timeout(said))


def wanted(env: Mapping[str, str], signal: str) -> Sequence[str]:
    """Give which exporters a signal goes to: `otlp` if there is an endpoint, unless OTEL_…_EXPORTER says otherwise."""
    has_endpoint = ENDPOINT in env or f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" in env
    named = [one.strip() for one in env.get(f"OTEL_{signal}_EXPORTER", "otlp").lower().split(",")]
    known = {"otlp": has_endpoint, "prometheus": signal == "METRICS", "none": False}
    for one in named:
        if one not in known:
            logger.warning("telemetry: OTEL_%s_EXPORTER: no exporter is called that; otlp, prometheus or none", signal)
    return [one for one in named if known.get(one)]


def read_timeout(env: Mapping[str, str]) -> timedelta:
    """Read how long an export may take: milliseconds by the specification, seconds by the Python SDK.

    Nobody means an export of minutes, nor of a tenth of a second: from 100 on it is milliseconds. At most 10 s.
    """
    try:
        told = float(env.get(TIMEOUT, ""))
    except ValueError:
        return PATIENCE
    return min(timedelta(seconds=max(0.1, told / 1000 if told >= LEAST_MS else told)), timedelta(seconds=10))


def read_interval(env: Mapping[str, str]) -> timedelta:
    """Read how often metrics are exported: each minute, unless OTEL_METRIC_EXPORT_INTERVAL says otherwise, in ms."""
    try:
        return max(SHORTEST, timedelta(milliseconds=float(env.get(INTERVAL, ""))))
    except (ValueError, OverflowError):
        return timedelta(minutes=1)


def _join(threads: Sequence[threading.Thread], done: threading.Event) -> None:
    for one in threads:
        one.join()
    done.set()
