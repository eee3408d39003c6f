"""Whatever workers, senders and ops do, in whatever order, and wherever they die: the ledger keeps its promises.

Hypothesis makes up sequences of the ledger's verbs and plays each on the real scripts and on the twin (tests/twin.py):
answers and state have to be equal, and after every step the promises of DESIGN §5 have to hold. Every rule is one
script, and a worker that crashes is one that does nothing more: so a crash may come between any two steps, and since
every fence stays at hand, a worker that was taken for dead may come back at any later time.

`HOOKMILL_LEDGER_SECONDS=600 pytest tests/redis/ledger/test_state_machine.py` plays for longer.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from twin import Look, Real, Twin, open_real

from gateway.ledger import Admission, Beat, Event, Limit, NewDelivery, Rules, new_delivery_id
from gateway.ledger.keys import LANES
from gateway.ledger.view import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.ledger import Work

SECONDS = float(os.environ.get("HOOKMILL_LEDGER_SECONDS", "10"))  # per server
WITHIN = 60  # rounds of sweep and work after which nothing may be left to do
MINUTE = timedelta(minutes=1)
SOURCES = {
    "high": Rules(source="high", pipeline="triage", lane="high", max_backlog=4, max_total=8, timeout=MINUTE),
    "key": Rules(source="key", pipeline="triage", idempotent=True, nonce_ttl=2 * MINUTE, timeout=MINUTE / 4),
    "slow": Rules(source="slow", pipeline="write", lane="low", limit=Limit(count=2, period=MINUTE, burst=3)),
}
SINKS = {"n8n": 1, "file": 2}
UNCOMPARED = {"age", "waited", "made_at", "replayed", "run_attempt"}
PAUSABLE = [("source", "high"), ("source", "key"), ("pipeline", "triage"), ("pipeline", "write"), ("sink", "n8n")]
PASSED = [timedelta(milliseconds=1), *(timedelta(seconds=seconds) for seconds in (1, 4, 6, 11, 61))]
DELAYS = [timedelta(seconds=seconds) for seconds in (0, 0.5, 5, 60)]
PLAY = settings(max_examples=5, stateful_step_count=50, suppress_health_check=list(HealthCheck), database=None)
TOOK = '{"name": "redact", "took": 0.1, "at": 1}'

arrivals = st.fixed_dictionaries(
    {
        "source": st.sampled_from(sorted(SOURCES)),
        "cap": st.integers(1, 3),
        "dedupe_id": st.sampled_from([None, "one", "two"]),
        "nonce": st.sampled_from(["", "", "same"]),
        "body": st.sampled_from([b"1", b"2"]),
        "flaw": st.sampled_from(["", "", "", "not JSON"]),
    }
)


class LedgerMachine(RuleBasedStateMachine):
    """One ledger, as the scripts keep it and as the twin does."""

    ids = Bundle("ids")
    owned = Bundle("owned")

    def __init__(self, loop: asyncio.AbstractEventLoop, real: Real) -> None:
        super().__init__()
        self.loop, self.real, self.twin = loop, real, Twin()
        self.numbers = itertools.count()
        self.accepted: set[str] = set()
        self.made: dict[tuple[str, str, int], str] = {}
        self.before = self.after = Look(
            works={}, due={}, lanes={}, active={}, backlog={}, caps={}, counts={}, dead=frozenset(), paused=frozenset()
        )
        self.leaves = ""
        self.endings: dict[str, Any] = {}
        real.empty()

    def both(self, verb: str, *arguments: Any, **more: Any) -> Any:
        """Use a verb on both; the answers must be equal."""

        async def ask(one: Any) -> Any:
            return await getattr(one, verb)(*arguments, **more)

        answers = [self.loop.run_until_complete(ask(one)) for one in (self.real, self.twin)]
        plain = [_plain(answer) for answer in answers]
        assert plain[0] == plain[1], f"{verb}: the scripts answer {plain[0]}, the twin {plain[1]}"
        return answers[0]

    def fenced(self, verb: str, work: Work, *arguments: Any, **more: Any) -> Any:
        """Use a verb that needs the fence, twice where that is to be as once; a stale fence must change nothing.

        An owner records one ending, though as often as it likes: another one under the same fence is not played.
        """
        if verb in {"finish", "bury"} and self.endings.setdefault(work.fence, (arguments, more)) != (arguments, more):
            return None
        before = self.real.look()
        answer = self.both(verb, work, *arguments, **more)
        after = self.real.look()
        if answer in {False, "stale"}:
            assert before == after, f"{verb} with a stale fence changed something"
        elif verb != "postpone":
            assert self.both(verb, work, *arguments, **more) == answer
            assert self.real.look() == after, f"{verb} sent twice is not as once"
        return answer

    @initialize(batch=st.lists(arrivals, min_size=1, max_size=4), target=ids)
    def opening(self, batch: list[dict[str, Any]]) -> Any:
        return self.admit(batch)

    @rule(batch=st.lists(arrivals, min_size=1, max_size=4), target=ids)
    def arrive(self, batch: list[dict[str, Any]]) -> Any:
        return self.admit(batch)

    def admit(self, batch: list[dict[str, Any]]) -> Any:
        admissions = [self.admission(**one) for one in batch]
        verdicts = self.both("admit", admissions)
        new = [verdict.event_id for verdict in verdicts if verdict.outcome == "accepted"]
        self.accepted.update(new)
        return multiple(*new)

    def admission(self, *, source: str, cap: int, body: bytes, nonce: str, **given: Any) -> Admission:
        number = next(self.numbers)
        at = datetime.fromtimestamp(self.real.now_us / 1e6, UTC) + timedelta(milliseconds=number)
        event = Event(
            id=f"evt_{number:026}", source=source, pipeline=SOURCES[source].pipeline, received_at=at, body=body
        )
        rules = {name: getattr(SOURCES[source], name) for name in Rules.__slots__} | {"concurrency": cap}
        return Admission(event=event, rules=Rules(**rules), nonce=nonce or f"nonce {number}", **given)

    @rule(lane=st.sampled_from(LANES), target=owned)
    def take_and_begin(self, lane: str) -> Any:
        work_id = self.both("take", lane)
        return self.begin(work_id) if work_id else multiple()

    @rule(work_id=ids, target=owned)
    def begin_without_a_wake_up(self, work_id: str) -> Any:
        return self.begin(work_id)

    def begin(self, work_id: str) -> Any:
        begun = self.both("begin", work_id, fence=f"w/{next(self.numbers)}")
        if begun.work is None:
            return multiple()
        assert self.real.look().due[work_id] > self.real.now_us / 1000
        return begun.work

    @rule(
        lane=st.sampled_from(LANES),
        sinks=st.lists(st.sampled_from(sorted(SINKS)), unique=True),
        ending=st.sampled_from(["finish", "finish", "drop", "bury", "postpone", "crash"]),
        target=ids,
    )
    def take_and_end(self, lane: str, sinks: list[str], ending: str) -> Any:
        work = self.take_and_begin(lane)
        if work == multiple():
            return work
        match ending:
            case "finish":
                return self.finish(work, sinks)
            case "drop":
                self.drop(work)
            case "bury":
                self.bury(work, counted=True)
            case "postpone":
                self.postpone(work, timedelta(seconds=5), counted=True)
        return multiple()

    @rule(lane=st.sampled_from(LANES))
    def lose_a_wake_up(self, lane: str) -> None:
        self.both("take", lane)

    @rule(work_id=ids, lane=st.sampled_from(LANES))
    def repeat_a_wake_up(self, work_id: str, lane: str) -> None:
        self.both("push", lane, work_id)

    @rule(works=st.lists(owned, min_size=1, max_size=3))
    def renew(self, works: list[Work]) -> None:
        self.both("renew", [Beat(id=work.id, fence=work.fence, step="draft", reason="waits") for work in works])

    @rule(work=owned, step=st.sampled_from(["redact", "draft"]), output=st.sampled_from([b"1", b'"longer"']))
    def checkpoint(self, work: Work, step: str, output: bytes) -> None:
        if work.kind == "run":
            self.fenced("checkpoint", work, step, output=output, took=TOOK)

    @rule(work=owned, sinks=st.lists(st.sampled_from(sorted(SINKS)), unique=True), target=ids)
    def finish(self, work: Work, sinks: list[str]) -> Any:
        if work.kind == "delivery":
            self.fenced("finish", work, "delivered", result=b'{"status": 200}')
            return multiple()
        return self.finish_run(work, sinks)

    def finish_run(self, work: Work, sinks: list[str]) -> Any:
        new = [
            NewDelivery(
                id=new_delivery_id(work.id, sink, work.generation), sink=sink, concurrency=SINKS[sink], timeout=MINUTE
            )
            for sink in sinks
        ]
        result = b'"of generation %d"' % work.generation
        if not self.fenced("finish", work, "done", result=result, deliveries=new):
            return multiple()
        for one in new:
            assert self.made.setdefault((work.id, one.sink, work.generation), one.id) == one.id
        return multiple(*(one.id for one in new))

    @rule(work=owned)
    def drop(self, work: Work) -> None:
        if work.kind == "run":
            self.fenced("finish", work, "discarded", reason="spam")

    @rule(work=owned, delay=st.sampled_from(DELAYS), counted=st.booleans())
    def postpone(self, work: Work, delay: timedelta, *, counted: bool) -> None:
        self.fenced("postpone", work, delay, reason="503", error_class="transient", counted=counted)

    @rule(work=owned, counted=st.booleans())
    def bury(self, work: Work, *, counted: bool) -> None:
        self.fenced("bury", work, reason="401", error_class="permanent", counted=counted)

    @rule()
    def sweep(self) -> None:
        self.both("sweep", "tests")

    @rule(passed=st.sampled_from(PASSED))
    def let_time_pass(self, passed: timedelta) -> None:
        self.both("pass_time", passed)

    @rule(work_id=ids, scratch=st.booleans())
    def replay(self, work_id: str, *, scratch: bool) -> None:
        self.leaves = "replay"
        self.both("replay", work_id, scratch=scratch)

    @rule(work_id=ids)
    def discard(self, work_id: str) -> None:
        self.leaves = "discard"
        self.both("discard", work_id)

    @rule(what=st.sampled_from(PAUSABLE))
    def pause(self, what: tuple[str, str]) -> None:
        self.both("pause", *what)

    @rule(what=st.sampled_from(PAUSABLE))
    def resume(self, what: tuple[str, str]) -> None:
        self.both("resume", *what)

    @rule()
    def forget_the_scripts(self) -> None:
        self.real.redis.script_flush()

    @invariant()
    def every_promise_holds(self) -> None:
        self.the_scripts_and_the_twin_hold_the_same()
        self.no_accepted_event_is_lost_and_all_are_within_reach()
        self.counts_add_up()
        self.no_more_is_active_than_the_cap_allows()
        self.what_is_over_stays_so_unless_it_is_replayed()
        self.nothing_is_forgotten_before_it_is_over_and_everything_after()

    def the_scripts_and_the_twin_hold_the_same(self) -> None:
        self.before, self.after = self.after, self.real.look()
        assert self.after == self.twin.look()

    def no_accepted_event_is_lost_and_all_are_within_reach(self) -> None:
        look = self.after
        assert self.accepted <= look.works.keys()
        backlog = [one for ids in look.backlog.values() for one in ids if look.works[one].state == "queued"]
        active = {one for ids in look.active.values() for one in ids}
        for work_id, seen in look.works.items():
            match seen.state:
                case "queued":  # held back by its cap or a pause; or in its lane, or a sweep puts it there again
                    assert backlog.count(work_id) + (work_id in active) == 1, f"{work_id} is out of reach"
                    assert (work_id in active) == (work_id in look.due)
                case "running":
                    assert work_id in active
                    assert work_id in look.due, f"{work_id} would not be recovered"
                case "waiting":
                    assert work_id in look.due, f"{work_id} would wait for ever"
                    assert work_id not in active
                case _:
                    assert seen.state in TERMINAL
                    assert work_id not in active
                    assert work_id not in look.due

    def counts_add_up(self) -> None:
        look = self.after
        runs = {one: seen for one, seen in look.works.items() if one.startswith("evt_")}
        assert len(runs) == len(self.accepted) == look.counts.get("accepted", 0)
        assert look.dead == {one for one, seen in look.works.items() if seen.state == "dead"}
        for seen in runs.values():
            going = [one for one in seen.deliveries if look.works[one].state not in TERMINAL]
            assert seen.pending == len(going)

    def no_more_is_active_than_the_cap_allows(self) -> None:
        for group, active in self.after.active.items():
            within = len(active) <= self.after.caps[group]  # a cap that was lowered is reached as work ends
            assert within or active <= self.before.active.get(group, frozenset())

    def what_is_over_stays_so_unless_it_is_replayed(self) -> None:
        allowed, self.leaves = self.leaves, ""
        for work_id, seen in self.before.works.items():
            now = self.after.works[work_id].state
            if seen.state in TERMINAL and now != seen.state:
                assert allowed == ("discard" if (seen.state, now) == ("dead", "discarded") else "replay")
            assert seen.generation <= self.after.works[work_id].generation

    def nothing_is_forgotten_before_it_is_over_and_everything_after(self) -> None:
        look = self.after
        parts: dict[str, list[str]] = {one: [one] for one in look.works if one.startswith("evt_")}
        for (run, _, _), made in self.made.items():
            parts[run].append(made)
        for run, ids in parts.items():
            going = [one for one in ids if look.works[one].state not in TERMINAL]
            for one in (going and [*going, run]) or []:
                assert not look.works[one].keeps, f"{one} could be forgotten"
            for one in ids if not going else []:
                assert look.works[one].keeps, f"{one} is kept for ever"

    def teardown(self) -> None:
        """Everything heals, and workers work: then nothing may be left to do."""
        for what in PAUSABLE:
            self.both("resume", *what)
        for _ in range(WITHIN):
            if all(item.over for item in self.twin.works.values()):
                break
            self.both("pass_time", timedelta(seconds=4))
            self.both("sweep", "tests")
            for lane in LANES:
                while self.twin.lanes[lane]:
                    work_id = self.both("take", lane)
                    self.work_off(work_id)
        self.the_scripts_and_the_twin_hold_the_same()
        left = {one: seen.state for one, seen in self.after.works.items() if seen.state not in TERMINAL}
        assert not left, f"stranded: {left}"
        self.counts_add_up()
        self.nothing_is_forgotten_before_it_is_over_and_everything_after()

    def work_off(self, work_id: str) -> None:
        begun = self.both("begin", work_id, fence=f"w/{next(self.numbers)}")
        if begun.work and begun.work.kind == "delivery":
            assert begun.work.result == b'"of generation %d"' % begun.work.generation
            assert self.both("finish", begun.work, "delivered")
        elif begun.work:
            self.finish_run(begun.work, ["n8n"])


def _plain(answer: Any) -> Any:
    """Make an answer comparable: a work's event comes back without its parts of a microsecond, and its age goes on.

    What only traces ask of a work is the matter of test_replays.py.
    """
    if getattr(answer, "work", None) is None:
        return answer
    told = {name: value for name, value in asdict(answer.work).items() if name not in UNCOMPARED}
    return told | {"event": answer.work.event.id, "body": answer.work.event.body}


@pytest.fixture
def real(redis_url: str) -> Iterator[tuple[asyncio.AbstractEventLoop, Real]]:
    loop = asyncio.new_event_loop()
    opened = loop.run_until_complete(open_real(redis_url))
    yield loop, opened
    loop.run_until_complete(opened.close())
    loop.close()


def test_the_ledger_keeps_its_promises_whatever_happens_in_whatever_order(real):
    loop, ledger = real
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        run_state_machine_as_test(lambda: LedgerMachine(loop, ledger), settings=PLAY)
