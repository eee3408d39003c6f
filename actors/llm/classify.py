"""From a provider's exception, or its useless answer, to what that means: again, elsewhere, or never.

Goes by class names, status codes and a few words of the error body, so it needs no LiteLLM to be imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.errors import ErrorClass
    from actors.llm.records import Reply
    from gateway.ledger.slots import Outcome

Kind = Literal[
    "transient", "rate_limited", "key", "unable", "context", "request", "policy", "malformed", "bad_output", "cancelled"
]

Then = Literal["next_key", "next", "larger", "willing", "nobody"]
"""Who is asked after a trouble: whoever comes next, another key of the same model included or not; those that take
longer prompts; those that may be asked what another refused; nobody."""

LONGEST_WAIT = timedelta(hours=1)
"""A Retry-After beyond it is cut: a provider's typo must not park a run for a month."""

KEY_MARKS = (
    "insufficient_quota",  # OpenAI: a 429 that no waiting cures
    "billing_hard_limit_reached",
    "credit balance is too low",  # Anthropic: a 400
    "api key not valid",  # Gemini: a 400
    "llm provider not provided",  # LiteLLM: the model's prefix names no provider
)
GARBLED_MARK = "error converting to valid response"
"""LiteLLM's words for a 200 of Gemini that it cannot read, to which it gives the status 422."""

UNREAD = "APIConnectionError"
"""LiteLLM's class for answers of some providers that it cannot read; these have headers, too."""

CONTEXT_MARKS = (
    "context_length_exceeded",
    "maximum context length",  # OpenAI's words, unmapped when they come through OpenRouter
    "too large for model",  # Mistral, unmapped
    "prompt is too long",  # Anthropic
    "exceeds the maximum number of tokens",  # Gemini
    "exceeded max context length",  # Ollama
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What follows from a kind of trouble."""

    klass: ErrorClass
    then: Then
    outcome: Outcome


RULES: Mapping[Kind, Rule] = {
    "transient": Rule(klass="transient", then="next", outcome="failed"),
    "rate_limited": Rule(klass="rate_limited", then="next_key", outcome="limited"),
    "key": Rule(klass="permanent", then="next_key", outcome="out"),
    "unable": Rule(klass="permanent", then="next", outcome="neutral"),
    "context": Rule(klass="permanent", then="larger", outcome="neutral"),
    "request": Rule(klass="permanent", then="nobody", outcome="neutral"),
    "policy": Rule(klass="permanent", then="willing", outcome="neutral"),  # never route around a refusal unasked
    "malformed": Rule(klass="bad_output", then="next", outcome="failed"),
    "bad_output": Rule(klass="bad_output", then="next", outcome="ok"),  # it answered: it is up
    "cancelled": Rule(klass="transient", then="next", outcome="neutral"),
}
HOPE: Sequence[ErrorClass] = ("transient", "rate_limited", "bad_output", "permanent")
"""The classes, the one most worth another try first."""

STATUSES: Mapping[int, Kind] = {
    401: "key",
    402: "key",
    403: "key",
    404: "key",
    408: "transient",
    409: "transient",
    413: "context",
    425: "transient",
    429: "rate_limited",
    501: "unable",
}
"""Statuses that do not mean what their hundred means: 4xx a refused request, 5xx transient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a call gave no answer; `name` is an exception's class or a short word, never content.

    `refused`: its provider answered that it does not do it, and so takes no money for it.
    """

    kind: Kind
    name: str
    status: int | None = None
    retry_after: timedelta | None = None
    refused: bool = False

    @property
    def rule(self) -> Rule:
        """What follows from it."""
        return RULES[self.kind]

    def __str__(self) -> str:
        return f"{self.rule.klass} ({self.name}{f' {self.status}' if self.status else ''})"


def classify(error: Exception, *, now: datetime) -> Trouble:
    """Say what a provider's exception means; `now` (aware) resolves a Retry-After that is a date."""
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else None
    headers, name = _headers(error), type(error).__name__
    return Trouble(
        kind=_kind(error, status),
        name=name,
        status=status,
        retry_after=parse_retry_after(headers, now=now),
        refused=bool(headers) and name != UNREAD and GARBLED_MARK not in _words(error),
    )


def flaw(reply: Reply) -> Trouble | None:
    """Say what is wrong with a reply that came as a 200; None where it can be used."""
    if reply.finish_reason == "content_filter":
        return Trouble(kind="policy", name="content_filter")
    if reply.finish_reason == "length":
        return Trouble(kind="bad_output", name="length")
    if reply.text is None:
        return Trouble(kind="malformed", name="no_choices")
    return None if reply.text.strip() else Trouble(kind="malformed", name="empty")


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Read `retry-after-ms`, or `retry-after` as seconds or an HTTP date; None where neither says anything."""
    millis, plain = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    seconds = millis / 1000 if millis is not None else _number(plain)
    if seconds is None and plain:
        seconds = _until(plain, now)
    if seconds is None:
        return None
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT.total_seconds()))


def _kind(error: Exception, status: int | None) -> Kind:
    names = {base.__name__ for base in type(error).__mro__}
    words = _words(error)
    if "ContentPolicyViolationError" in names:
        return "policy"
    if status is None or status < 400 or GARBLED_MARK in words:  # no answer, or one that could not be read
        return "transient"
    if any(mark in words for mark in KEY_MARKS):
        return "key"
    if "ContextWindowExceededError" in names or (status < 500 and any(mark in words for mark in CONTEXT_MARKS)):
        return "context"
    return _by_status(status, answered=bool(_headers(error)))


def _words(error: Exception) -> str:
    return f"{error} {getattr(error, 'body', None)}"[:4000].lower()


def _by_status(status: int, *, answered: bool) -> Kind:
    """Go by the status alone; `answered`: the exception carries the headers of a response."""
    if status == 422 and not answered:  # LiteLLM's number for an error body that came with status 200
        return "transient"
    return STATUSES.get(status, "request" if status < 500 else "transient")


def _headers(error: Exception) -> Mapping[str, str]:
    response = getattr(error, "response", None)
    found: Any = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    return {str(name).lower(): str(value) for name, value in dict(found).items()}


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _until(date: str, now: datetime) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
