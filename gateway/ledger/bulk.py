"""One action on many dead letters: page by page, a handful at a time, with a tally after each."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.ledger.letters import mark
from gateway.ledger.views import PAGE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from gateway.ledger.event import By
    from gateway.ledger.ledger import Ledger
    from gateway.ledger.view import Filter

AT_ONCE = 8  # script calls under way
MOST_WAITING = 1000  # of one source or sink: replayed letters must not fill its backlog, and so close its door
Action = Literal["replay", "discard"]
DONE = frozenset({"queued", "discarded", "dead"})  # `dead` is the answer of a dry run


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What is done to which letters, and by whom; of replays also `scratch`, and how many of a source may wait."""

    action: Action
    wanted: Filter
    by: By
    scratch: bool = False
    most_waiting: int = MOST_WAITING

    async def act(self, ledger: Ledger, letter: str) -> str:
        """Do it to one: `queued` or `discarded`, or why not."""
        if self.action == "discard":
            return "discarded" if await ledger.discard(letter, by=self.by) else "gone"
        return await ledger.replay(letter, scratch=self.scratch, by=self.by, most_waiting=self.most_waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a bulk got: how many letters had which answer, and the cursor to go on from (None: it is at its end).

    `full` says that it should wait a moment: so many letters wait for their turn already.
    """

    answers: Mapping[str, int]
    cursor: str | None = None
    full: bool = False

    @property
    def done(self) -> int:
        """How many were replayed or discarded."""
        return sum(number for answer, number in self.answers.items() if answer in DONE)

    @property
    def skipped(self) -> dict[str, int]:
        """How many were not, by reason."""
        return {answer: number for answer, number in sorted(self.answers.items()) if answer not in DONE}


async def carry_out(
    ledger: Ledger, bulk: Bulk, *, most: int | None = None, cursor: str | None = None
) -> AsyncGenerator[Tally]:
    """Do it to all letters that pass, at most to `most`, and tell after every handful how far it got.

    Whoever does not ask for the next tally has stopped it. Raises what the ledger raises.
    """
    answers = Counter[str]()
    while True:
        left = PAGE if most is None else min(PAGE, most - answers.total())
        waiting, following = await ledger.dead_page(limit=left, cursor=cursor, wanted=bulk.wanted)
        if not waiting:
            yield Tally(answers=dict(answers), cursor=following)
        while waiting:
            some, rest = waiting[:AT_ONCE], waiting[AT_ONCE:]
            got = await asyncio.gather(*(bulk.act(ledger, one.id) for one in some))
            refused = [one for one, answer in zip(some, got, strict=True) if answer == "full"]
            answers.update(answer for answer in got if answer != "full")
            waiting = refused + rest
            place = mark(waiting[0], before=True) if waiting else following
            yield Tally(answers=dict(answers), cursor=place, full=bool(refused))
        if following is None or answers.total() == most:
            return
        cursor = following
