"""Asks an alias: its candidates in order, each with a fair share of the deadline, until one gives a usable answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from actors.errors import Failure
from actors.llm import output, prompt, provider
from actors.llm.classify import HOPE, Trouble, classify, flaw
from actors.llm.gate import Gate
from actors.llm.records import Answer, Reply
from otel.records import ModelCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from actors.llm.records import Call, Message, Question, Wait
    from gateway.config import Alias, Candidate, Models
    from gateway.ledger.slots import Slots

REPAIRS = 2
"""How often a candidate is shown what is wrong with its answer."""

CANCELLED = Trouble(kind="cancelled", name="cancelled")
TOO_LATE = Trouble(kind="transient", name="deadline")


class Troubled(Exception):  # noqa: N818 - how a candidate ends, not a fault of ours
    """A candidate gave no usable answer."""

    def __init__(self, trouble: Trouble) -> None:
        """Take what it was."""
        super().__init__(str(trouble))
        self.trouble = trouble


class CircuitOpen(Exception):  # noqa: N818 - as above
    """A candidate is left alone until `after` is over."""

    def __init__(self, after: timedelta) -> None:
        """Take the time until a probe is let through."""
        super().__init__("circuit open")
        self.after = after


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How one call ended: a value, or trouble; with `complaint` where the model can be told what to correct."""

    value: Any = None
    trouble: Trouble | None = None
    complaint: str = ""
    reply: Reply | None = None


class Asker:
    """Asks models for the runs of one worker process (one event loop)."""

    def __init__(self, models: Models, slots: Slots, call: Call = provider.call) -> None:
        """Take the configured models, the fleet's slots, and what calls a provider."""
        self._models = models
        self._slots = slots
        self._call = call
        self._gates: dict[str, Gate] = {}

    async def ask(self, question: Question, *, wait: Wait, called: Callable[[ModelCall], None]) -> Answer:
        """Get an answer; `wait` is told why there is nothing to do but wait, `called` of every provider call.

        Waiting does not count against the alias's deadline. Raises Failure naming what each candidate did, with the
        class of the most hopeful one; a refused request or content policy ends it at once.
        """
        asking = Asking(self, self._alias(question.alias), question, wait=wait, called=called)
        return await asking.answer()

    def _alias(self, name: str) -> Alias:
        known = self._models.aliases
        if name in known:
            return known[name]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Failure(f"model {name}: no such alias in {self._models.path.name}{hint}", klass="permanent")

    def gate(self, candidate: Candidate) -> Gate:
        """Give the way to that candidate, one for all asks of this process."""
        if candidate.name not in self._gates:
            self._gates[candidate.name] = Gate(candidate, self._slots)
        return self._gates[candidate.name]

    async def judge(
        self,
        candidate: Candidate,
        messages: Sequence[Message],
        *,
        into: Any,
        within: timedelta,
    ) -> Taken:
        """Call a candidate once and say what came of it; only cancellation raises."""
        try:
            async with asyncio.timeout(within.total_seconds()):  # LiteLLM's own does not see a dripping answer
                reply = await self._call(candidate, messages, schema=output.schema_of(into), timeout=within)
        except Exception as error:  # noqa: BLE001 - every client has its own classes; classify() sorts them
            return Taken(trouble=classify(error, now=datetime.now(UTC)))
        if trouble := flaw(reply):
            return Taken(trouble=trouble, reply=reply)
        try:
            return Taken(value=output.read(reply.text or "", into=into), reply=reply)
        except output.Misfit as misfit:
            trouble = Trouble(kind="bad_output", name=f"does not fit the schema: {misfit}")
            return Taken(trouble=trouble, complaint=misfit.complaint, reply=reply)


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
        self._troubles: dict[str, Trouble] = {}

    async def answer(self) -> Answer:
        """Go through the candidates until one answers; those with an open circuit are kept for when all else failed."""
        candidates = list(self._alias.candidates)
        while candidates:
            shut: dict[str, timedelta] = {}
            for place, candidate in enumerate(candidates):
                try:
                    return await self._attempts(candidate, share=len(candidates) - place)
                except CircuitOpen as circuit:
                    shut[candidate.name] = circuit.after
                except Troubled as troubled:
                    self._note(candidate, troubled.trouble)
            candidates = [candidate for candidate in candidates if candidate.name in shut]
            if not candidates or self._worth_repeating():
                break
            await self._wait(min(shut.values()), f"model {self._alias.name}: circuits open")
        raise self._failure()

    def _note(self, candidate: Candidate, trouble: Trouble) -> None:
        self._troubles[candidate.name] = trouble
        if not trouble.rule.falls_back:
            raise self._failure()

    def _worth_repeating(self) -> bool:
        """Whether a candidate that failed may answer soon: better than waiting for the circuits of the others."""
        return any(trouble.rule.klass in {"transient", "rate_limited"} for trouble in self._troubles.values())

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
            taken = await self._take(candidate, messages, share=share)
            if taken.trouble is None:
                break
            if not taken.complaint or taken.complaint == told or not repairs_left:
                raise Troubled(taken.trouble)
            told = taken.complaint
            messages += prompt.correction(taken.reply.text or "" if taken.reply else "", told)
        return self._conclude(taken.value)

    async def _take(self, candidate: Candidate, messages: Sequence[Message], *, share: int) -> Taken:
        """Make one call within a slot and a fair share of what is left of the deadline."""
        within = min(candidate.timeout, self._left / share)
        if within <= timedelta():
            raise Troubled(TOO_LATE)
        gate = self._asker.gate(candidate)
        reason = f"model {self._alias.name}: waiting for a slot of {candidate.name}"
        grant = await gate.enter(self._token, timeout=within, wait=self._wait, reason=reason)
        if grant.state == "open":
            raise CircuitOpen(grant.after)
        began = time.monotonic()
        taken = Taken(trouble=CANCELLED)
        try:
            taken = await self._asker.judge(candidate, messages, into=self._question.into, within=within)
        finally:
            took = timedelta(seconds=time.monotonic() - began)
            self._left -= took
            self._tell(candidate, taken, took)
            outcome = taken.trouble.rule.outcome if taken.trouble else "ok"
            await gate.leave(self._token, outcome=outcome, took=took)
        return taken

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
        )
        self._calls.append(call)
        self._called(call)

    def _conclude(self, value: Any) -> Answer:
        last = self._calls[-1]
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

    def _failure(self) -> Failure:
        troubles = self._troubles
        final = next((trouble for trouble in troubles.values() if not trouble.rule.falls_back), None)
        klasses = {trouble.rule.klass for trouble in troubles.values()}
        klass = final.rule.klass if final else next(hope for hope in HOPE if hope in klasses)
        asked = [trouble.retry_after for trouble in troubles.values() if trouble.rule.klass == klass]
        waits = [after for after in asked if after is not None]
        told = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
        # One candidate that named no time may answer at once: no reason to wait for the others.
        retry_after = min(waits) if len(waits) == len(asked) else None
        return Failure(f"model {self._alias.name}: {told}", klass=klass, retry_after=retry_after)
