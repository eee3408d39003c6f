"""Writes the Grafana dashboard from the registry: `python -m otel.dashboard > otel/dashboards/hookmill.json`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from otel import instruments as of

WIDE, HIGH = 8, 7  # of 24 columns
STATS, LOW = 4, 4  # so many figures share the first row, which is low
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel: its question, its expressions by legend, and Grafana's name of the unit."""

    title: str
    what: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"


def _p95(instrument: of.Instrument, by: str = "") -> str:
    bucket = f"sum by (le{by and ', '}{by}) (rate({instrument.prometheus}_bucket[5m]))"
    return f"histogram_quantile(0.95, {bucket})"


def _rate(instrument: of.Instrument, by: str, which: str = "") -> str:
    return f"sum by ({by}) (rate({instrument.prometheus}{which}[5m]))"


ENDED = '{app_outcome=~"done|discarded|dead"}'
RUNS_LINE = '{app_lane!="deliveries"}'
WAITING = f"max(sum by (instance) ({of.QUEUED.prometheus}{RUNS_LINE}))"
LEAVING = f"max(sum by (instance) (rate({of.OUTCOMES.prometheus}{ENDED}[5m])))"

CALLED = f"{of.CALLS.prometheus}_count"

PANELS = (  # in the order in which somebody who was woken reads
    Panel(
        title="Waiting, and until the queue is empty (s)",
        what={"waiting": WAITING, "empty in s": f"{WAITING} / ({LEAVING} > 0) or {WAITING} * 0"},
        kind="stat",
    ),
    Panel(title="Workers", what={"workers": f"max({of.WORKERS.prometheus})"}, kind="stat"),
    Panel(title="Dead letters", what={"dead": f"max({of.DEAD.prometheus})"}, kind="stat"),
    Panel(
        title="Redis' memory",
        what={"{{app_queue_state}}": f"max by (app_queue_state) ({of.MEMORY.prometheus})"},
        unit="bytes",
        kind="stat",
    ),
    Panel(
        title="In line, by lane",
        what={"{{app_lane}} {{app_queue_state}}": f"max by (app_lane, app_queue_state) ({of.QUEUED.prometheus})"},
    ),
    Panel(title="Oldest in line", what={"{{app_lane}}": f"max by (app_lane) ({of.OLDEST.prometheus})"}, unit="s"),
    Panel(title="How works end, a second", what={"{{app_outcome}}": _rate(of.OUTCOMES, "app_outcome")}),
    Panel(
        title="End to end, p95",
        what={"{{app_source}}": _p95(of.END_TO_END, "app_source"), "wait": _p95(of.WAIT)},
        unit="s",
    ),
    Panel(title="Models: p95", what={"{{app_candidate}}": _p95(of.CALLS, "app_candidate")}, unit="s"),
    Panel(
        title="Models: errors",
        what={
            "{{app_candidate}}": f'sum by (app_candidate) (rate({CALLED}{{error_type!=""}}[5m])) / '
            f"sum by (app_candidate) (rate({CALLED}[5m]))"
        },
        unit="percentunit",
    ),
    Panel(
        title="Models left alone",
        what={
            "{{app_candidate}} {{app_queue_state}}": "max by (app_candidate, app_queue_state) "
            f"({of.LEFT_ALONE.prometheus})"
        },
        unit="s",
    ),
    Panel(
        title="Spent (US$)",
        what={"this {{app_period}}": f'max by (app_period) ({of.SPENT.prometheus}{{app_what="all"}})'},
        unit="currencyUSD",
    ),
    Panel(
        title="Cost of a finished event (US$)",
        what={
            "average": f"sum(rate({of.COST.prometheus}[30m])) / "
            f'(sum(rate({of.RUNS.prometheus}{{app_outcome="done"}}[30m])) > 0)'
        },
        unit="currencyUSD",
    ),
    Panel(
        title="Deliveries, a second",
        what={"{{app_sink}} {{app_outcome}}": _rate(of.DELIVERIES, "app_sink, app_outcome")},
    ),
    Panel(
        title="Requests, a second",
        what={
            "{{app_source}} {{app_outcome}}": _rate(of.EVENTS, "app_source, app_outcome"),
            "{{app_code}}": _rate(of.REJECTIONS, "app_code"),
        },
    ),
    Panel(title="Steps, a second", what={"{{app_step}} {{app_outcome}}": _rate(of.STEPS, "app_step, app_outcome")}),
)


def make_dashboard() -> dict[str, Any]:
    """Make Grafana's JSON; the data source is chosen in Grafana."""
    return {
        "title": "Hookmill",
        "uid": "hookmill",
        "tags": ["hookmill"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, one) for number, one in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": _place(number),
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": expr, "legendFormat": legend, "datasource": SOURCE}
            for at, (legend, expr) in enumerate(panel.what.items())
        ],
    }


def _place(number: int) -> dict[str, int]:
    if number < STATS:
        return {"x": number * 24 // STATS, "y": 0, "w": 24 // STATS, "h": LOW}
    row, column = divmod(number - STATS, 24 // WIDE)
    return {"x": column * WIDE, "y": LOW + row * HIGH, "w": WIDE, "h": HIGH}


if __name__ == "__main__":
    json.dump(make_dashboard(), sys.stdout, indent=1)
    sys.stdout.write("\n")
