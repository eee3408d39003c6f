"""A waterfall of an event in plain text: bars below one another, from what the ledger kept or what Jaeger has."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from gateway.cli.render import span as said

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gateway.ledger import WorkView

WIDTH = 40  # characters of the time line
NANO = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span to draw: times in seconds since 1970; `parent` is "" for what stands at the left."""

    name: str
    trace: str
    id: str
    parent: str
    start: float
    end: float
    failed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name, which attempt it is, and how that ended."""
        attempt, outcome = self.attributes.get("app.attempt"), self.attributes.get("app.outcome")
        parts = [self.name, f"#{attempt}" if attempt else "", outcome or ""]
        parts.append("(checkpoint)" if self.attributes.get("app.cached") else "")
        return " ".join(part for part in parts if part)


def draw(bars: Sequence[Bar]) -> list[str]:
    """Draw one line per bar, children below their parents in the order in which they began."""
    if not bars:
        return []
    begin, end = min(one.start for one in bars), max(one.end for one in bars)
    whole = max(end - begin, 1e-6)
    rows = list(_rows(bars, _tops(bars), 0))
    wide = max(len(one.label) + 2 * depth for one, depth in rows)
    return [
        f"{'  ' * depth + one.label:<{wide}} │{_line(one, begin, whole)}│ {_told(one)}".rstrip() for one, depth in rows
    ]


def _tops(bars: Sequence[Bar]) -> list[Bar]:
    known = {one.id for one in bars}
    return [one for one in bars if one.parent not in known]


def _rows(bars: Sequence[Bar], some: Sequence[Bar], depth: int) -> Iterator[tuple[Bar, int]]:
    for one in sorted(some, key=lambda bar: (bar.start, -bar.end)):
        yield one, depth
        yield from _rows(bars, [other for other in bars if other.parent == one.id], depth + 1)


def _line(bar: Bar, begin: float, whole: float) -> str:
    first = min(WIDTH - 1, int((bar.start - begin) / whole * WIDTH))
    last = max(first + 1, round((bar.end - begin) / whole * WIDTH))
    return f"{' ' * first}{('▒' if bar.failed else '█') * (last - first)}{' ' * (WIDTH - last)}"


def _told(bar: Bar) -> str:
    error = bar.attributes.get("error.type")
    return f"{said(timedelta(seconds=bar.end - bar.start))}{f'  {error}' if error else ''}"


def read_otlp(answer: Mapping[str, Any]) -> list[Bar]:
    """Read what Jaeger's /api/v3 answers: OTLP in JSON, below `result`. Raises LookupError, TypeError, ValueError."""
    return [
        Bar(
            name=span["name"],
            trace=span["traceId"],
            id=span["spanId"],
            parent=span.get("parentSpanId", ""),
            start=int(span["startTimeUnixNano"]) / NANO,
            end=int(span["endTimeUnixNano"]) / NANO,
            failed=span.get("status", {}).get("code") in {2, "STATUS_CODE_ERROR"},
            attributes={one["key"]: _value(one["value"]) for one in span.get("attributes", ())},
        )
        for resource in answer["result"]["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def _value(told: Mapping[str, Any]) -> Any:
    [(kind, value)] = told.items()
    return int(value) if kind == "intValue" else value


def read_view(view: WorkView) -> list[Bar]:
    """Make bars of what the ledger keeps of an event: its run as a whole, finished steps, deliveries."""
    bars = [_work(view, "", "run")]
    for number, step in enumerate(view.steps):
        end = step.at.timestamp()
        named = f"step {step.name}{f' ({step.candidate})' if step.candidate else ''}"
        about = {"app.outcome": f"{step.calls} calls"} if step.calls > 1 else {}
        start = end - step.took.total_seconds()
        bars.append(
            Bar(name=named, trace=view.trace_id, id=f"step {number}", parent=view.id, start=start, end=end,
                attributes=about)
        )  # fmt: skip
    return bars + [_work(one, "", f"delivery to {one.sink}") for one in view.deliveries]


def _work(view: WorkView, parent: str, name: str) -> Bar:
    about = {"app.attempt": view.attempts + 1 if not view.over else view.attempts, "app.outcome": view.state}
    return Bar(
        name=name,
        trace=view.trace_id,
        id=view.id,
        parent=parent,
        start=view.received_at.timestamp(),
        end=view.updated_at.timestamp(),
        failed=view.state == "dead",
        attributes=about | ({"error.type": view.error_class} if view.error_class else {}),
    )
