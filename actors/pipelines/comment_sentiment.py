"""The pipeline `comment-sentiment`: finds the comment in an event, redacts it, and asks a model what its mood is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from actors.pipelines.redact import redact
from hookmill import Discard, Run, pipeline

if TYPE_CHECKING:
    from gateway.ledger.event import Event

KEYS = ("body", "comment", "text", "message", "description")
"""Where a text stands, the first that is not blank."""

PLACES = (
    ("comment",),  # GitHub issue_comment, commit_comment, pull_request_review_comment
    ("review",),
    ("discussion",),
    ("issue",),
    ("pull_request",),
    ("event",),  # Slack
    ("message",),  # Telegram
    ("data", "object"),  # Stripe
    ("data",),
    ("body",),
    (),
)
"""Objects that may hold the text, the most telling first: a comment on an issue is the comment, not the issue."""

LONGEST = 20_000
"""Characters of a comment that are judged; what is beyond would cost tokens and time, not change the verdict."""

PROMPT = (
    "Judge the comment. sentiment: how its author feels. urgency: high if somebody is blocked, loses money or data, or "
    "threatens to leave; low if it can wait for weeks; else normal. language: the comment's, as two letters of ISO "
    "639-1. reason: one sentence in English, at most 200 characters, without personal data. Tokens such as [EMAIL_1] "
    "stand for removed personal data."
)


class Verdict(BaseModel):
    """What a model says of a comment."""

    sentiment: Literal["positive", "neutral", "negative"]
    urgency: Literal["low", "normal", "high"]
    language: Annotated[str, Field(pattern="^[a-z]{2}$", description="ISO 639-1")]
    reason: Annotated[str, Field(max_length=200)]


class CommentSentiment(Verdict):
    """The result: the verdict, and how many pieces of personal data were removed before a model saw the comment."""

    redacted: dict[str, int]


@pipeline("comment-sentiment", version=1, steps=("redact", "classify"))
async def comment_sentiment(run: Run) -> CommentSentiment:
    """Classify the comment of an event; one without text is discarded."""
    text = comment_of(run.event)
    if text is None:
        raise Discard("the event carries no text")
    clean = await run.step("redact", redact, text[:LONGEST])
    verdict = await run.ask("classify", PROMPT, untrusted=clean.text, into=Verdict, model="fast")
    return CommentSentiment(**vars(verdict), redacted=clean.counts)


def comment_of(event: Event) -> str | None:
    """Give the comment's text: from the usual places of a JSON body, or a body that is not JSON as it is."""
    try:
        document = event.json
    except ValueError:
        return _text(event.text)
    return next((found for value in _candidates(document) if (found := _text(value))), None)


def _candidates(document: Any) -> Iterator[Any]:
    """Yield what may be the text, the likeliest first."""
    yield document
    for place in PLACES:
        holder = document
        for key in place:
            holder = holder.get(key) if isinstance(holder, Mapping) else None
        if isinstance(holder, Mapping):
            yield from map(holder.get, KEYS)


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
