"""One call to one candidate: the tokens that it can take, what came of it, and what the ledger is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from actors.llm import output
from actors.llm.classify import Trouble, classify, flaw
from gateway.ledger.slots import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.llm.records import Call, Message, Question, Reply
    from gateway.config import Candidate

KEY_REST = timedelta(minutes=5)
"""How long a key that was refused, or whose quota is spent, is left alone by everybody."""

TYPICAL = 1024
"""Tokens that an answer is taken to have at most, where no `max_tokens` bounds it."""

PER_MESSAGE = 16
"""Tokens that stand around a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How one call ended: a value, or trouble; with `complaint` where the model can be told what to correct."""

    value: Any = None
    trouble: Trouble | None = None
    complaint: str = ""
    reply: Reply | None = None

    def ended(self, took: timedelta) -> Ended:
        """Say what the ledger is to learn of the call."""
        if self.trouble is None:
            return Ended(outcome="ok", took=took, tokens=self._tokens)
        rest = KEY_REST if self.trouble.kind == "key" else self.trouble.retry_after or timedelta()
        return Ended(outcome=self.trouble.rule.outcome, took=took, tokens=self._tokens, rest=rest)

    @property
    def _tokens(self) -> int | None:
        """What the provider counted; none where it refused the call, not known where it may have gone on with it."""
        if self.reply is None:
            return 0 if self._refused else None
        return self.reply.input_tokens + self.reply.output_tokens

    @property
    def cost(self) -> float | None:
        """What it cost in US dollars; None where its provider may have gone on with it."""
        if self.reply is None:
            return 0.0 if self._refused else None
        return self.reply.cost_usd

    @property
    def _refused(self) -> bool:
        return self.trouble is not None and self.trouble.refused


def worst(candidate: Candidate, messages: Sequence[Message]) -> tuple[int, int]:
    """Give the most tokens that a call can read and write: no token is shorter than a byte."""
    read = sum(len(message["content"].encode("utf-8", "surrogatepass")) + PER_MESSAGE for message in messages)
    written = candidate.params.get("max_completion_tokens") or candidate.params.get("max_tokens") or TYPICAL
    return read, int(str(written))


async def take(
    call: Call, candidate: Candidate, messages: Sequence[Message], question: Question, *, within: timedelta
) -> Taken:
    """Call a candidate once and say what came of it; only cancellation raises."""
    try:
        async with asyncio.timeout(within.total_seconds()):  # LiteLLM's own does not see a dripping answer
            schema = output.schema_of(question.into)
            reply = await call(candidate, messages, schema=schema, timeout=within, told=question.told)
    except Exception as error:  # noqa: BLE001 - every client has its own classes; classify() sorts them
        return Taken(trouble=classify(error, now=datetime.now(UTC)))
    if trouble := flaw(reply):
        return Taken(trouble=trouble, reply=reply)
    try:
        return Taken(value=output.read(reply.text or "", into=question.into, plain=question.plain), reply=reply)
    except output.Misfit as misfit:
        trouble = Trouble(kind="bad_output", name=f"does not fit the schema: {misfit}")
        return Taken(trouble=trouble, complaint=misfit.complaint, reply=reply)
