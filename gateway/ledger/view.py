"""A run, a delivery and the ledger as ops see them: plain values, made from what Redis holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway.ledger.slots import OF_SINKS

EQUAL = ("source", "state", "pipeline", "sink", "step", "error_class")
TERMINAL = frozenset({"done", "discarded", "dead", "delivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A finished step: what it took, and for an ask which model answered after how many calls at what cost.

    `version` is that of the pipeline that finished it: a run goes on under a newer one with the steps it has.
    """

    name: str
    key: str = ""
    took: timedelta
    at: datetime
    version: int = 0
    model: str = ""
    candidate: str = ""
    degraded: bool = False
    calls: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkView:
    """A run or a delivery as it stands in the ledger; `repeats` is how often its event came again.

    `kept_until` is when it will be forgotten; None where that is not known, or nothing is forgotten yet. `cost_usd` is
    what all asks of a run cost, those that failed included; None in a list, and for a delivery.
    """

    id: str
    kind: Literal["run", "delivery"]
    event_id: str
    source: str
    pipeline: str
    sink: str | None
    state: str
    received_at: datetime
    updated_at: datetime
    attempts: int
    lives: int
    generation: int
    step: str = ""
    reason: str = ""
    error_class: str = ""
    due_at: datetime | None = None
    lease_until: datetime | None = None
    owner: str = ""
    trace_id: str = ""
    size: int = 0
    repeats: int = 0
    repeated_at: datetime | None = None
    steps_total: int = 0
    kept_until: datetime | None = None
    cost_usd: float | None = None
    steps: tuple[StepView, ...] = ()
    result: Any = field(default=None, repr=False)
    deliveries: tuple[WorkView, ...] = ()

    @property
    def over(self) -> bool:
        """Whether it is in a state that only a replay ends."""
        return self.state in TERMINAL

    def json(self) -> dict[str, Any]:
        """Plain JSON values: times in ISO 8601 (UTC), durations in seconds."""
        plain = _plain({one.name: getattr(self, one.name) for one in fields(self)})
        return dict(plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list is to show; None is anything. `repeated` leaves only events that came more than once.

    `since` and `until` (not included) tell when it last changed: for a dead letter, when it was given up.
    """

    source: str | None = None
    state: str | None = None
    repeated: bool = False
    pipeline: str | None = None
    sink: str | None = None
    step: str | None = None
    error_class: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def passes(self, view: WorkView) -> bool:
        """Tell whether it is to be shown."""
        if self.repeated and not view.repeats:
            return False
        early = self.since is not None and view.updated_at < self.since
        late = self.until is not None and view.updated_at >= self.until
        return not early and not late and all(getattr(self, one) in {None, getattr(view, one)} for one in EQUAL)

    def __str__(self) -> str:
        """Say it in words, as `source=blog step=label`; `all` where anything passes."""
        asked = {one.name: getattr(self, one.name) for one in fields(self)}
        said = [f"{name}={_plain(value)}" for name, value in asked.items() if value not in {None, False}]
        return " ".join(said) or "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """A source's runs or a sink's deliveries: how many are active of `cap`, and how many its cap holds back.

    `left_alone` says why nobody sends to that sink now; empty where nothing keeps us from it.
    """

    name: str
    cap: int
    active: int
    backlog: int
    paused: bool
    left_alone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """A model candidate, or a sink: calls in flight, runs that wait for one, `calls` and `tokens` of the last minute.

    Nobody calls it for so many seconds: `rests_for` since its provider limited it, `out_for` since its key was no good,
    `open_for` since its circuit opened. Calls and tokens are counted where a limit is set for them.
    """

    name: str
    in_flight: int = 0
    waiting: int = 0
    calls: int = 0
    tokens: int = 0
    rests_for: float = 0.0
    out_for: float = 0.0
    open_for: float = 0.0
    opened: int = 0

    @property
    def left_alone(self) -> str:
        """Why nobody calls it, and for how long yet; empty where it may be called."""
        if self.out_for:
            return f"its key is no good; tried again in {self.out_for:.0f} s"
        if self.rests_for and self.name.startswith(OF_SINKS):
            return f"it has had enough; tried again in {self.rests_for:.0f} s"
        if self.rests_for:
            return f"its provider has had enough; asked again in {self.rests_for:.0f} s"
        return f"its circuit is open for {self.open_for:.0f} s more" if self.open_for else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The ledger in figures.

    `workers` tells how many seconds ago each was seen; `memory_limit` is 0 where Redis has none; `paused_by` says who
    paused what, "" where the audit trail does not know any more.
    """

    counts: dict[str, int]
    lanes: dict[str, int]
    groups: tuple[GroupView, ...]
    candidates: tuple[CandidateView, ...]
    scheduled: int
    dead: int
    paused: tuple[str, ...]
    paused_by: dict[str, str]
    workers: dict[str, float]
    memory: int
    memory_limit: int

    def json(self) -> dict[str, Any]:
        """Plain JSON values; memory in bytes."""
        return asdict(self)


def make_view(work_id: str, kept: dict[str, bytes | None], look_at: float | None) -> WorkView | None:
    """Make a view of a work's fields, and its score in the schedule; None if there is no work."""
    if kept["state"] is None:
        return None
    text = {name: (value or b"").decode() for name, value in kept.items()}
    return WorkView(
        id=work_id,
        kind="delivery" if text["kind"] == "delivery" else "run",
        event_id=text["run"] or work_id,
        source=text["source"],
        pipeline=text["pipeline"],
        sink=text["sink"] or None,
        state=text["state"],
        received_at=_time(text["received"]),
        updated_at=_time(text["at"]),
        attempts=int(text["attempts"] or 0),
        lives=int(text["lives"] or 0),
        generation=int(text["generation"] or 0),
        step=text["step"],
        reason=text["reason"],
        error_class=text["class"],
        due_at=_time(text["due"]) if text["due"] else None,
        lease_until=_time(look_at) if look_at and text["state"] == "running" else None,
        owner=text["fence"].rpartition("/")[0] if text["state"] == "running" else "",
        trace_id=text["trace"],
        size=int(text["size"] or 0),
        repeats=int(text["repeats"] or 0),
        repeated_at=_time(text["repeated"]) if text["repeated"] else None,
        steps_total=int(text["total"] or 0),
    )


def make_steps(kept: dict[bytes, bytes]) -> tuple[StepView, ...]:
    """Make views of the steps of a run, in the order in which they ended."""
    known = {one.name for one in fields(StepView)}  # a newer worker may write more
    rows = [{name: value for name, value in json.loads(text).items() if name in known} for text in kept.values()]
    return tuple(
        StepView(**row | {"took": timedelta(seconds=row["took"]), "at": datetime.fromtimestamp(row["at"], UTC)})
        for row in sorted(rows, key=lambda row: row["at"])
    )


def _time(milliseconds: float | str) -> datetime:
    return datetime.fromtimestamp(float(milliseconds) / 1000, UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, WorkView):
        return value.json()
    if isinstance(value, StepView):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
