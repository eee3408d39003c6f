"""What `hookmill demo` shows in the end, and the promises that it checks: pure functions over what was observed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.cli.render import plain, plural, span, table
from gateway.cli.views import answered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rich.table import Table

    from gateway.cli.demo_events import Post
    from gateway.cli.demo_receiver import Inbox
    from gateway.cli.send import Answer
    from gateway.ledger import Stats, WorkView

REFUSALS = {"forged": {"signature_invalid"}, "stale": {"timestamp_out_of_tolerance"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A post, what the gateway answered, and where its event stood in the end (None: there is no event)."""

    post: Post
    answer: Answer
    view: WorkView | None = None

    @property
    def event_id(self) -> str | None:
        """The event that the gateway says this post is; None where it was refused or a handshake."""
        return self.answer.body.get("event_id") if self.answer.accepted else None

    @property
    def first(self) -> bool:
        """Whether this post made the event: accepted and no duplicate."""
        return self.event_id is not None and not self.answer.body.get("duplicate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Something Hookmill promises, and what spoke against it in this demo; nothing, if it was kept."""

    text: str
    breaches: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether nothing spoke against it."""
        return not self.breaches


def outcomes_table(outcomes: Sequence[Outcome]) -> Table:
    """Make the table: a row per post, in the order of posting."""
    rows = [
        (outcome.post.source, outcome.post.label, _answer(outcome), _steps(outcome), _model(outcome), _latency(outcome),
         _fate(outcome))
        for outcome in outcomes
    ]  # fmt: skip
    return table(("source", "event", "answer", ">steps", "model", ">latency", "result"), rows)


def _answer(outcome: Outcome) -> str:
    return str(outcome.answer.status) if outcome.answer.accepted else f"[red]{outcome.answer.status}[/]"


def _steps(outcome: Outcome) -> str:
    return str(len(outcome.view.steps)) if outcome.view and outcome.first else ""


def _model(outcome: Outcome) -> str:
    asked = [step for step in outcome.view.steps if step.candidate] if outcome.view and outcome.first else []
    return answered(next((step for step in asked if step.degraded), asked[-1])) if asked else ""


def _latency(outcome: Outcome) -> str:
    view = outcome.view
    if view is None or not outcome.first:
        return ""
    ends = [one.updated_at for one in view.deliveries] or [view.updated_at]
    return span(max(ends) - view.received_at)


def _fate(outcome: Outcome) -> str:
    view = outcome.view
    if outcome.post.kind == "handshake":
        return "[dim]handshake, not stored[/]"
    if outcome.event_id is None:
        return f"[yellow]{plain(outcome.answer.body.get('code', 'refused'))}[/]"
    if not outcome.first:
        return "[dim]duplicate, no 2nd effect[/]"
    if view is None:
        return "[red]lost[/]"
    one = view.deliveries[0] if view.deliveries else view
    tries = f" at try {one.attempts + 1}" if one.attempts else ""
    style = "green" if one.state == "delivered" else "red"
    return f"[{style}]{one.state}[/]{tries}"


def promises(outcomes: Sequence[Outcome], inbox: Inbox, stored: Collection[str]) -> list[Promise]:
    """Check every promise; `stored` are the ids of all events that the ledger holds."""
    return [
        Promise(text="every event was answered as it should be", breaches=tuple(_misjudged(outcomes))),
        Promise(text="every accepted event reached its end, delivered", breaches=tuple(_unfinished(outcomes))),
        Promise(text="every result arrived exactly once, signed", breaches=tuple(_arrivals(outcomes, inbox))),
        Promise(text="a duplicate had no second effect", breaches=tuple(_doubled(outcomes))),
        Promise(text="what was refused stored nothing", breaches=tuple(_extra(outcomes, stored))),
    ]


def _misjudged(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        kind, code = outcome.post.kind, outcome.answer.body.get("code", "")
        right = {
            "new": outcome.first,
            "duplicate": outcome.event_id is not None and not outcome.first,
            "handshake": outcome.answer.accepted,
            "burst": outcome.first or code == "rate_limited",
        }.get(kind, code in REFUSALS.get(kind, set()))
        if not right:
            yield f"{outcome.post.source}, {kind}: {outcome.answer.status} {code}".rstrip()
    if not any(outcome.answer.status == 429 for outcome in outcomes):
        yield "the burst was never limited"


def _unfinished(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        view = outcome.view
        if not outcome.first:
            continue
        if view is None:
            yield f"{outcome.event_id}: lost"
        elif view.state != "done" or [one.state for one in view.deliveries] != ["delivered"]:
            deliveries = ", ".join(one.state for one in view.deliveries) or "no delivery"
            yield f"{view.id}: {view.state}, {deliveries}"


def _arrivals(outcomes: Sequence[Outcome], inbox: Inbox) -> Iterator[str]:
    arrived = Counter(inbox.event_of.values())
    expected = {outcome.event_id for outcome in outcomes if outcome.first}
    yield from (f"{event_id}: never arrived" for event_id in expected if event_id and not arrived[event_id])
    yield from (f"{event_id}: arrived, but was not accepted" for event_id in arrived if event_id not in expected)
    yield from (f"{event_id}: {count} different deliveries" for event_id, count in arrived.items() if count > 1)
    yield from (f"{webhook_id}: taken {count} times" for webhook_id, count in inbox.taken.items() if count > 1)
    yield from (f"a delivery had a bad signature: {code}" for code in inbox.refused)


def _doubled(outcomes: Sequence[Outcome]) -> Iterator[str]:
    events: dict[tuple[str, str], set[str]] = {}
    for outcome in outcomes:
        if outcome.event_id:
            events.setdefault((outcome.post.source, outcome.post.event_id), set()).add(outcome.event_id)
    yield from (f"{source} {name}: {len(ids)} events" for (source, name), ids in events.items() if len(ids) > 1)


def _extra(outcomes: Sequence[Outcome], stored: Collection[str]) -> Iterator[str]:
    accepted = {outcome.event_id for outcome in outcomes if outcome.event_id}
    yield from (f"{event_id}: stored, but never accepted" for event_id in stored if event_id not in accepted)
    yield from (f"{event_id}: accepted, but not stored" for event_id in accepted if event_id not in stored)


def summary(outcomes: Sequence[Outcome], inbox: Inbox, figures: Stats) -> Iterator[str]:
    """Say in figures what happened: events, refusals, retries, fallbacks, circuits."""
    first = [outcome for outcome in outcomes if outcome.first]
    again = sum(1 for tries in inbox.tries.values() if tries > 1)
    degraded = sum(1 for one in first if one.view and any(step.degraded for step in one.view.steps))
    refused = sum(1 for outcome in outcomes if not outcome.answer.accepted)
    duplicates = figures.counts.get("duplicate", 0)
    yield f"{len(outcomes)} posts: {len(first)} events, {duplicates} duplicates, {refused} refused"
    yield f"{degraded} answered by the fallback model, {again} delivered only after the receiver had been down"
    for one in figures.candidates:
        if one.opened:
            yield f"the circuit of model {one.name} opened {plural(one.opened, 'time')}: meanwhile nobody called it"
