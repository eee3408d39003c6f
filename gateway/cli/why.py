"""`hookmill why`: where an event is, what it waits for, what happened and what to do next, in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.cli import opening, render
from gateway.cli.faults import Fault
from gateway.cli.options import EventId, Json  # noqa: TC001 - typer reads the annotations
from gateway.cli.render import age, plural, span

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.config import Config
    from gateway.ledger import CandidateView, Ledger, Stats, WorkView

PATIENCE = timedelta(seconds=30)  # a queued run that nobody began for so long deserves a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What one must know beside the work: the time, what is paused by whom, live workers, attempts (None: unknown).

    `candidates` are the models as the fleet uses them now.
    """

    now: datetime
    paused: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    most_attempts: int | None = None
    candidates: tuple[CandidateView, ...] = ()


def explain(view: WorkView, scene: Scene) -> str:
    """Say it all in one paragraph; pure."""
    tell = {
        "queued": _queued,
        "running": _running,
        "waiting": _waiting,
        "done": _done,
        "delivered": _delivered,
        "discarded": _discarded,
        "dead": _dead,
    }.get(view.state)
    return tell(view, scene) if tell else f"{_subject(view)} is in state {view.state}."


def _subject(view: WorkView) -> str:
    if view.kind == "delivery":
        return f"{view.id}, the delivery of {view.event_id} to {view.sink},"
    return f"{view.id} from {view.source}"


def _noun(view: WorkView) -> str:
    return "delivery" if view.kind == "delivery" else "run"


def _command(view: WorkView, verb: str, *options: str) -> str:
    return " ".join(["`hookmill", verb, view.id, *options]) + "`"


def _place(view: WorkView) -> str:
    """Give ` at step label`, or nothing where no step is known; a delivery has none."""
    return f" at step {view.step}" if view.step and view.kind == "run" else ""


def _cause(view: WorkView) -> str:
    return f" Last error: {view.reason.rstrip('.')}." if view.reason else ""


def _tries(view: WorkView, scene: Scene) -> str:
    of = f" of {scene.most_attempts}" if scene.most_attempts and scene.most_attempts >= view.attempts else ""
    return f"attempt {view.attempts}{of}"


def _held(view: WorkView, scene: Scene) -> str | None:
    """Give what holds this back as `source:blog`, or None if nothing is paused."""
    mine = [f"sink:{view.sink}"] if view.kind == "delivery" else [f"source:{view.source}", f"pipeline:{view.pipeline}"]
    return next((one for one in mine if one in scene.paused), None)


def _paused(held: str, scene: Scene) -> str:
    """Say that it is paused, by whom if that is known, and how it goes on."""
    what, by = held.replace(":", " ", 1), scene.paused[held]
    return f"{what} is paused{f' by {by}' if by else ''}. Let it go on: `hookmill resume {what}`."


def _queued(view: WorkView, scene: Scene) -> str:
    since = age(view.updated_at, scene.now)
    held = _held(view, scene)
    if held:
        return f"{_subject(view)} is queued ({since}): {_paused(held, scene)}"
    if not scene.workers:
        return f"{_subject(view)} is queued ({since}), but no worker was seen for a minute: start `hookmill worker`."
    told = (
        f"{_subject(view)} is queued: it was put in line {since} and begins as soon as a worker is free{_saved(view)}."
    )
    if scene.now - view.updated_at < PATIENCE:
        return told
    return f"{told} That is long: `hookmill stats` shows what is before it; another `hookmill worker` makes it shorter."


def _saved(view: WorkView) -> str:
    if not view.steps:
        return ""
    return f"; {plural(len(view.steps), 'finished step')} will not be worked nor paid again"


def _running(view: WorkView, scene: Scene) -> str:
    if view.lease_until and view.lease_until < scene.now:
        lost = age(view.lease_until, scene.now)
        return (
            f"{_subject(view)} lost its worker: the lease ended {lost}. The sweep of any live worker takes it over"
            f" within seconds{_saved(view)}. If it does not, no worker runs: start `hookmill worker`."
        )
    from gateway.ledger.progress import SO_FAR  # noqa: PLC0415 - keeps `hookmill --help` quick

    if view.reason.endswith(SO_FAR):
        wait = f" The answer of its model has {view.reason}."
    else:
        wait = f" It waits inside the run: {_limit(view, scene)}." if view.reason else ""
    before = f" It failed {plural(view.attempts, 'time')} before." if view.attempts else ""
    of = f" of {view.steps_total}" if view.steps_total else ""
    steps = f" So far {len(view.steps)}{of} steps finished." if view.steps else ""
    began = age(view.updated_at, scene.now)
    return f"{_subject(view)} is running{_place(view)}: a worker began it {began}.{steps}{wait}{before} Nothing to do."


def _limit(view: WorkView, scene: Scene) -> str:
    """Give what it waits for; for a model, with what tells which of its limits is reached."""
    reason = view.reason.rstrip(".")
    for one in scene.candidates if "waiting for" in reason else ():
        if reason.endswith(f" of {one.name}"):
            return f"{reason} (now {plural(one.in_flight, 'call')} in flight, {one.calls} in its last minute)"
    return reason


def _waiting(view: WorkView, scene: Scene) -> str:
    due = view.due_at or scene.now
    again = f"in {span(due - scene.now)}" if due > scene.now else "now, as soon as a worker is free"
    now = f"To try at once: {_command(view, 'events replay')}."
    if not view.error_class:
        why = _limit(view, scene) or "it was asked to"
        return (
            f"{_subject(view)} is waiting{_place(view)}: {why}. It goes on {again}; this does not count as an attempt"
            f"{_saved(view)}. {now}"
        )
    ago = age(view.updated_at, scene.now)
    return (
        f"{_subject(view)} is waiting: it failed{_place(view)} ({view.error_class}, {_tries(view, scene)}) {ago}"
        f" and will be tried again {again}{_saved(view)}.{_cause(view)} {now}"
    )


def _done(view: WorkView, scene: Scene) -> str:
    took = f" {span(view.updated_at - view.received_at)} after it came" if view.updated_at > view.received_at else ""
    steps = f" in {plural(len(view.steps), 'step')}" if view.steps else ""
    lesser = [f"{step.name} by {step.candidate or step.model}" for step in view.steps if step.degraded]
    degraded = f" Answered by a lesser model (degraded): {', '.join(lesser)}." if lesser else ""
    told = (
        f"{_subject(view)} is done: it was worked{steps},{took or ' and finished'} ({age(view.updated_at, scene.now)})."
    )
    sent = " ".join(_delivery(one, scene) for one in view.deliveries) or "It has no sink, so nothing was sent."
    return f"{told}{degraded} {sent}"


def _delivery(one: WorkView, scene: Scene) -> str:
    where = f"Its result for {one.sink}"
    if one.state == "delivered":
        tries = f" at attempt {one.attempts + 1}" if one.attempts else ""
        return f"{where} was delivered {age(one.updated_at, scene.now)}{tries}."
    if one.state == "dead":
        return f"{where} is a dead letter{_because(one)}; when that is repaired: {_command(one, 'dead replay')}."
    if one.state == "waiting" and one.due_at:
        return f"{where} is tried again in {span(one.due_at - scene.now)}{_because(one)} ({_tries(one, scene)} failed)."
    held = _held(one, scene)
    return f"{where} is held: {_paused(held, scene)}" if held else f"{where} is {one.state}."


def _because(one: WorkView) -> str:
    return f": {one.reason.rstrip('.')}" if one.reason else ""


def _delivered(view: WorkView, scene: Scene) -> str:
    tries = f", at attempt {view.attempts + 1}" if view.attempts else ""
    return f"{_subject(view)} arrived {age(view.updated_at, scene.now)}{tries}. Nothing to do."


def _discarded(view: WorkView, scene: Scene) -> str:
    why = f": {view.reason.rstrip('.')}" if view.reason else ""
    return (
        f"{_subject(view)} was discarded {age(view.updated_at, scene.now)}{why}. That is a decision, not a failure:"
        f" nothing was delivered and it is not retried. To work it all the same: {_command(view, 'events replay')}."
    )


def _dead(view: WorkView, scene: Scene) -> str:
    klass = f"{view.error_class}, " if view.error_class else ""
    return (
        f"{_subject(view)} is a dead letter: it was given up{_place(view)} ({klass}{plural(view.attempts, 'attempt')})"
        f" {age(view.updated_at, scene.now)}.{_cause(view)} When that is repaired, {_command(view, 'dead replay')}"
        f" goes on where it failed{_saved(view)}; {_command(view, 'dead discard')} gives the {_noun(view)} up for good."
    )


def most_attempts(view: WorkView, config: Config | None) -> int | None:
    """Give how many attempts the configuration allows this run or delivery; None if it does not know it."""
    if config is None:
        return None
    if view.kind == "delivery":
        sink = config.sinks.get(view.sink or "")
        return len(sink.retry) + 1 if sink else None
    source = config.sources.get(view.source)
    if source is None or source.retry.attempts is None:  # then its pipeline may say how many, and is not known here
        return None
    from gateway.config import RetryPolicy  # noqa: PLC0415 - keeps `hookmill --help` quick

    return RetryPolicy.of(source.retry).most(view.error_class)


def why(work_id: EventId, *, as_json: Json = False) -> None:
    """Say where an event is, what it waits for, what happened, and what to do next."""

    async def look(ledger: Ledger) -> tuple[WorkView | None, Stats]:
        return await ledger.show(work_id), await ledger.stats()

    view, stats = opening.ask(look)
    if view is None:
        raise Fault(f"{work_id}: the ledger does not know it (never accepted, or over and forgotten)", code=1)
    attempts = most_attempts(view, opening.config_or_none())
    scene = Scene(
        now=opening.now(),
        paused=stats.paused_by,
        workers=len(stats.workers),
        most_attempts=attempts,
        candidates=stats.candidates,
    )
    text = explain(view, scene)
    if as_json:
        render.show_json({"id": view.id, "state": view.state, "why": text})
    else:
        render.show(render.plain(text))
