"""Asks an alias for the runs of one worker process: what all asks share, and where each begins."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from actors.errors import Failure
from actors.gate import Gate
from actors.llm import provider
from actors.llm.asking import Asking
from actors.llm.cache import Cache
from actors.llm.taken import KEY_REST, Taken, take

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from actors.alerts import Notify
    from actors.llm.classify import Trouble
    from actors.llm.purse import Purse
    from actors.llm.records import Answer, Call, Message, Question, Wait
    from gateway.config import Alias, Candidate, Models
    from gateway.ledger import Ledger
    from otel.records import ModelCall


class Asker:
    """Asks models for the runs of one worker process (one event loop)."""

    def __init__(
        self, models: Models, ledger: Ledger, *, purse: Purse, notify: Notify, call: Call = provider.call
    ) -> None:
        """Take the configured models, the ledger, the budgets, who is told, and what calls a provider."""
        self._models, self._slots, self.purse, self._notify, self._call = models, ledger.slots, purse, notify, call
        self._cache = Cache(ledger)
        self._gates: dict[str, Gate] = {}

    async def ask(self, question: Question, *, wait: Wait, called: Callable[[ModelCall], None]) -> Answer:
        """Get an answer; `wait` is told why there is nothing to do but wait, `called` of every provider call.

        Waiting does not count against the alias's deadline. Raises Failure naming what each candidate did, with the
        class of the most hopeful one; a refused request or content policy ends it at once.
        """
        alias = self._alias(question.alias)
        asking = Asking(self, alias, question, wait=wait, called=called)
        return await (self._cache.answer(question, alias, asking.answer) if question.cache else asking.answer())

    def _alias(self, name: str) -> Alias:
        known = self._models.aliases
        if name in known:
            return known[name]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Failure(f"model {name}: no such alias in {self._models.path.name}{hint}", klass="permanent")

    async def call(
        self, candidate: Candidate, messages: Sequence[Message], question: Question, *, within: timedelta
    ) -> Taken:
        """Call a candidate once and say what came of it; only cancellation raises."""
        return await take(self._call, candidate, messages, question, within=within)

    async def tell_key(self, candidate: Candidate, trouble: Trouble) -> None:
        """Have somebody told that a key is no good."""
        await self._notify("model_key", candidate.name, {"why": str(trouble), "again_in_s": KEY_REST.total_seconds()})

    def gate(self, candidate: Candidate) -> Gate:
        """Give the way to that candidate, one for all asks of this process."""
        if candidate.name not in self._gates:
            self._gates[candidate.name] = Gate(candidate.way, self._slots)
        return self._gates[candidate.name]
