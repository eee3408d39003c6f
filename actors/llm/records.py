"""The nouns of asking a model: what a step asks, what a provider replies, what the step gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from actors.llm.judge import Judge
    from gateway.config import Candidate

Message = Mapping[str, str]
"""One chat message: `role` and `content`."""

Schema = Mapping[str, Any]
"""A JSON Schema."""

Wait = Callable[[timedelta, str], Awaitable[None]]
"""Waits that long, telling ops the reason; it may suspend the run and never return (the ask is then cancelled)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a step asks: trusted instructions in `prompt`, somebody else's text in `untrusted`.

    `into` is anything pydantic's TypeAdapter takes, None for plain text. `token` names the step to the slots: the same
    step asking again keeps its place in the line; blank gives a random one. `source` and `pipeline` say whose budget
    it is.

    Of an answer made of untrusted text, links and markup are taken out, unless `links`. A `judge` scores it. With
    `cache` an equal question is answered again, for so long; `version` is one more thing that must be equal. `told`
    hears how many tokens of the answer there are so far.
    """

    alias: str
    prompt: str = field(repr=False)
    untrusted: str | None = field(default=None, repr=False)
    into: Any = None
    token: str = ""
    source: str = ""
    pipeline: str = ""
    links: bool = False
    judge: Judge | None = None
    cache: timedelta | None = None
    version: int = 0
    told: Callable[[int], None] | None = field(default=None, repr=False)

    @property
    def plain(self) -> bool:
        """Whether links and markup are taken out of the answer."""
        return self.untrusted is not None and not self.links


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a provider answered; `text` is None where it sent no choice.

    `priced` is False where the price, or the number of tokens, is not known; tokens are then estimated.
    """

    text: str | None = field(repr=False)
    finish_reason: str
    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    priced: bool = True
    degraded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The value a step gets, and what all calls of this ask together took to get it."""

    value: Any = field(repr=False)
    candidate: str
    model: str
    degraded: bool
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept beside the value, for those who look at the step."""
        named = ("model", "candidate", "degraded", "calls", "cost_usd")
        return {name: getattr(self, name) for name in named}


class Call(Protocol):
    """Calls one candidate once; raises whatever the provider's client raises."""

    async def __call__(
        self,
        candidate: Candidate,
        messages: Sequence[Message],
        *,
        schema: Schema | None,
        timeout: timedelta,  # noqa: ASYNC109 - LiteLLM's own limit; the caller sets one around it as well
        told: Callable[[int], None] | None,
    ) -> Reply:
        """Give the provider's reply; `told` hears how many tokens of it there are so far."""
