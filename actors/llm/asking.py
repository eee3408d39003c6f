"""One ask under way: its candidates in order, each with a fair share of the deadline, until one answers usably."""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from actors.errors import Failure
from actors.gate import UNUSED, Gate
from actors.llm import output, prompt
from actors.llm.classify import HOPE, Trouble
from actors.llm.records import Answer, Question, Reply
from actors.llm.taken import Taken, worst
from gateway.ledger import BudgetSpent
from otel.records import ModelCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.llm.ask import Asker
    from actors.llm.records import Message, Wait
    from gateway.config import Alias, Candidate
    from gateway.ledger import Grant, Hold

REPAIRS = 2
"""How often a candidate is shown what is wrong with its answer."""

SOON = timedelta(seconds=1)
LATEST = timedelta(seconds=10)
LIMITED = "its provider has had enough"
WHY = {"open": "its circuit is open", "rest": LIMITED}

KEY_OUT = Trouble(kind="key", name="its key is left alone")
CANCELLED = Trouble(kind="cancelled", name="cancelled")
TOO_LATE = Trouble(kind="transient", name="deadline")


class Troubled(Exception):  # noqa: N818 - how a candidate ends, not a fault of ours
    """A candidate gave no usable answer."""

    def __init__(self, trouble: Trouble) -> None:
        """Take what it was."""
        super().__init__(str(trouble))
        self.trouble = trouble


class LeftAlone(Exception):  # noqa: N818 - as above
    """Nobody calls a candidate until `after` is over: an open circuit, a provider that has had enough, a budget."""

    def __init__(self, after: timedelta, why: str, *, for_all: bool = False) -> None:
        """Take the time until it is asked again, why it is not, and whether no other one is to be asked either."""
        super().__init__(why)
        self.after, self.why, self.for_all = after, why, for_all


class Asking:
    """One ask under way."""

    def __init__(
        self,
        asker: Asker,
        alias: Alias,
        question: Question,
        *,
        wait: Wait,
        called: Callable[[ModelCall], None],
    ) -> None:
        self._asker = asker
        self._alias = alias
        self._question = question
        self._wait = wait
        self._called = called
        self._token = question.token or secrets.token_hex(8)
        self._left = alias.deadline
        self._calls: list[ModelCall] = []
        self._last: ModelCall
        self._troubles: dict[str, Trouble] = {}

    async def answer(self) -> Answer:
        """Go along the line of candidates until one answers; who is left alone is waited for when all else failed."""
        line, alone = list(self._alias.candidates), dict[str, LeftAlone]()
        while line:
            candidate = line.pop(0)
            try:
                return await self._attempts(candidate, share=len(line) + 1)
            except LeftAlone as left:
                alone[candidate.name] = left
                line = [] if left.for_all else line
            except Troubled as troubled:
                line = self._rest(line, after=candidate, trouble=troubled.trouble)
                if troubled.trouble.kind == "rate_limited":  # it comes back, and waiting for that is no failure
                    alone[candidate.name] = LeftAlone(SOON, f"{candidate.name}: {LIMITED}")
            if alone and not line and not self._worth_repeating():
                first = min(alone.values(), key=lambda left: left.after)
                later = random.random() * min(first.after / 5, LATEST)  # noqa: S311 - not all come back at once
                await self._wait(first.after + later, f"model {self._alias.name}: {first.why}")
                line, alone = [one for one in self._alias.everyone if one.name in alone], {}
        raise self._failure()

    def _rest(self, line: list[Candidate], *, after: Candidate, trouble: Trouble) -> list[Candidate]:
        """Give the line as it goes on after that trouble; raises Failure where nobody else is to be asked."""
        self._troubles[after.name] = trouble
        elsewhere = [one for one in line if one.pool_name != after.pool_name]
        match trouble.rule.then:
            case "next_key":
                return line
            case "next":
                return elsewhere
            case "larger":
                return self._fresh(self._alias.larger_context) if self._alias.larger_context else elsewhere
            case "willing":
                willing = self._fresh(self._alias.on_refusal)
            case "nobody":
                willing = []
        if not willing:
            raise self._failure(final=trouble)
        return willing

    def _fresh(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [candidate for candidate in candidates if candidate.name not in self._troubles]

    def _worth_repeating(self) -> bool:
        """Whether a candidate that failed may answer soon: better than waiting for those that are left alone."""
        return any(trouble.rule.klass == "transient" for trouble in self._troubles.values())

    async def _attempts(self, candidate: Candidate, *, share: int) -> Answer:
        for _ in range(self._alias.attempts_per_candidate - 1):
            try:
                return await self._converse(candidate, share=share)
            except Troubled as troubled:
                if troubled.trouble.kind != "transient":
                    raise
        return await self._converse(candidate, share=share)

    async def _converse(self, candidate: Candidate, *, share: int) -> Answer:
        """Ask, and ask again with what the validator said, as long as that makes a difference."""
        schema = output.schema_of(self._question.into)
        messages = prompt.build(self._question.prompt, untrusted=self._question.untrusted, schema=schema)
        told = ""
        for repairs_left in reversed(range(REPAIRS + 1)):
            taken = await self._judged(await self._take(candidate, messages, share=share))
            if taken.trouble is None:
                break
            if not taken.complaint or taken.complaint == told or not repairs_left:
                raise Troubled(taken.trouble)
            told = taken.complaint
            messages += prompt.correction(taken.reply.text or "" if taken.reply else "", told, schema=schema)
        return self._conclude(taken.value)

    async def _judged(self, taken: Taken) -> Taken:
        """Have the judge score what fits, if the question has one; a judge that does not answer ends the ask."""
        judge = self._question.judge
        if judge is None or taken.trouble:
            return taken
        question = Question(
            alias=judge.model,
            prompt=judge.prompt(self._question.prompt),
            untrusted=output.text_of(taken.value, into=self._question.into),
            into=judge.scores,
            token=f"{self._token} judge",
            source=self._question.source,
            pipeline=self._question.pipeline,
        )
        answer = await self._asker.ask(question, wait=self._wait, called=self._count)
        trouble, complaint = judge.trouble(answer.value)
        return replace(taken, trouble=trouble, complaint=complaint)

    async def _take(self, candidate: Candidate, messages: Sequence[Message], *, share: int) -> Taken:
        """Make one call, with the fleet's leave, room in its budgets, and a fair share of the time that is left."""
        within = min(candidate.timeout, self._left / share)
        if within <= timedelta():
            raise Troubled(TOO_LATE)
        read, written = worst(candidate, messages)
        gate = self._asker.gate(candidate)
        grant = await gate.enter(
            self._token, timeout=within, tokens=read + written, wait=self._wait, reason=self._waits_for(candidate)
        )
        if grant.state == "out":
            raise Troubled(KEY_OUT)
        if grant.state != "granted":
            raise LeftAlone(grant.after, f"{candidate.name}: {WHY[grant.state]}")
        hold = await self._afford(candidate, gate, grant, read=read, written=written)
        began = time.monotonic()
        taken = Taken(trouble=CANCELLED)
        try:
            taken = await self._asker.call(candidate, messages, self._question, within=within)
        finally:
            took = timedelta(seconds=time.monotonic() - began)
            self._left -= took
            self._tell(candidate, taken, took)
            await gate.leave(self._token, grant, taken.ended(took))
            await self._asker.purse.settle(hold, taken.cost)
        if taken.trouble and taken.trouble.kind == "key":
            await self._asker.tell_key(candidate, taken.trouble)
        return taken

    def _waits_for(self, candidate: Candidate) -> str:
        slot = ["a slot"] if candidate.max_concurrent else []
        minute = ["room in the minute"] if candidate.rpm or candidate.tpm else []
        return f"model {self._alias.name}: waiting for {' or '.join(slot + minute) or 'leave'} of {candidate.name}"

    async def _afford(self, candidate: Candidate, gate: Gate, grant: Grant, *, read: int, written: int) -> Hold:
        """Reserve what the call can cost; who cannot gives the fleet's leave back."""
        purse = self._asker.purse
        try:
            return await purse.reserve(self._question, candidate, read=read, written=written)
        except BudgetSpent as spent:
            await gate.leave(self._token, grant, UNUSED)
            after = spent.until - datetime.now(UTC)
            raise LeftAlone(after, f"{candidate.name}: {spent}", for_all=purse.budgets.waits(spent.name)) from None
        except BaseException:
            await gate.leave(self._token, grant, UNUSED)
            raise

    def _tell(self, candidate: Candidate, taken: Taken, took: timedelta) -> None:
        trouble, reply = taken.trouble, taken.reply or Reply(text=None, finish_reason="", model=candidate.model)
        error_class = None
        if trouble:
            error_class = "cancelled" if trouble is CANCELLED else trouble.rule.klass
        call = ModelCall(
            candidate=candidate.name,
            model=reply.model,
            took=took,
            error_class=error_class,
            degraded=reply.degraded,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cost_usd=reply.cost_usd,
            priced=reply.priced,
            asked=candidate.model,
        )
        self._last = call
        self._count(call)

    def _count(self, call: ModelCall) -> None:
        self._calls.append(call)
        self._called(call)

    def _conclude(self, value: Any) -> Answer:
        last = self._last
        return Answer(
            value=value,
            candidate=last.candidate,
            model=last.model,
            degraded=last.degraded,
            calls=len(self._calls),
            input_tokens=sum(call.input_tokens for call in self._calls),
            output_tokens=sum(call.output_tokens for call in self._calls),
            cost_usd=sum(call.cost_usd for call in self._calls),
        )

    def _failure(self, *, final: Trouble | None = None) -> Failure:
        """Name what each candidate did; `final` is what no other candidate helps against."""
        troubles = self._troubles
        klasses = {trouble.rule.klass for trouble in troubles.values()}
        klass = final.rule.klass if final else next(hope for hope in HOPE if hope in klasses)
        asked = [trouble.retry_after for trouble in troubles.values() if trouble.rule.klass == klass]
        waits = [after for after in asked if after is not None]
        told = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
        # One candidate that named no time may answer at once: no reason to wait for the others.
        retry_after = min(waits) if len(waits) == len(asked) else None
        return Failure(f"model {self._alias.name}: {told}", klass=klass, retry_after=retry_after)
