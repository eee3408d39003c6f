"""Answers that may be given again: kept for a while, and shared by equal asks that are under way at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from actors.llm import output
from actors.llm.records import Answer
from gateway.ledger import LedgerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.llm.records import Question
    from gateway.config import Alias
    from gateway.ledger import Ledger

MOST_BYTES = 256 * 1024
LONGEST = timedelta(days=30)


class Cache:
    """The kept answers of the fleet, and the asks under way in one process."""

    def __init__(self, ledger: Ledger) -> None:
        """Take where answers are kept."""
        self._ledger = ledger
        self._under_way: dict[str, asyncio.Future[Answer]] = {}

    async def answer(self, question: Question, alias: Alias, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Give the kept answer to an equal question, or that of an equal ask under way, or ask and keep the answer.

        Equal are questions of one alias with the same candidates, prompt, untrusted text, type, judge and version. An
        answer that was not asked for itself took no calls and cost nothing. Raises what `ask` raises.
        """
        name = name_of(question, alias)
        while other := self._under_way.get(name):
            await asyncio.wait([other])
            if not other.cancelled():  # else its run was suspended, and somebody else has to ask
                return free(other.result())
        mine: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._under_way[name] = mine
        try:
            mine.set_result(await self._known(name, question) or await self._asked(name, question, ask))
        except Exception as error:
            mine.set_exception(error)
            mine.exception()  # seen, also where nobody else waits
            raise
        finally:
            mine.cancel()  # no effect on what has its result
            del self._under_way[name]
        return mine.result()

    async def _known(self, name: str, question: Question) -> Answer | None:
        kept = await self._ledger.recall(name)
        if kept is None:
            return None
        told = json.loads(kept)
        try:
            value = output.adapter(question.into).validate_json(told.pop("value"))
        except ValidationError:  # the type has another meaning now, under the same version
            return None
        return free(Answer(value=value, calls=0, input_tokens=0, output_tokens=0, cost_usd=0.0, **told))

    async def _asked(self, name: str, question: Question, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await ask()
        told = {"candidate": answer.candidate, "model": answer.model, "degraded": answer.degraded}
        kept = json.dumps(told | {"value": output.adapter(question.into).dump_json(answer.value).decode()})
        if question.cache and not answer.degraded and len(kept) <= MOST_BYTES:
            with suppress(LedgerError):  # an answer that is paid for outweighs its being kept
                await self._ledger.remember(name, kept, min(question.cache, LONGEST))
        return answer


def name_of(question: Question, alias: Alias) -> str:
    """Give the hash of all that decides what the answer may be."""
    asked = [question.prompt, question.untrusted, question.links, output.schema_of(question.into), question.version]
    judge = question.judge and [question.judge.model, dict(question.judge.criteria), question.judge.least]
    whole = [alias.name, [[one.name, one.model] for one in alias.candidates], *asked, judge]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def free(answer: Answer) -> Answer:
    """Give an answer that somebody else has paid for."""
    return replace(answer, calls=0, input_tokens=0, output_tokens=0, cost_usd=0.0)
