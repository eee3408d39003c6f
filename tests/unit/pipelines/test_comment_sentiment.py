"""Where a comment stands in an event, and what the pipeline makes of it, without a worker around it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from actors.llm import lexicon
from actors.pipelines.comment_sentiment import LONGEST, PROMPT, Verdict, comment_of, comment_sentiment
from gateway.ledger import Event
from hookmill import Discard

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


def event(body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Event(id="evt_1", source="blog", pipeline="comment-sentiment", received_at=datetime.now(UTC), body=raw)


PLACES = [
    {"body": "it"},
    {"comment": "it"},
    {"text": " it\n"},
    {"message": "it"},
    {"description": "it"},
    {"text": "", "message": "it"},
    {"comment": {"body": "it"}, "issue": {"body": "no"}},
    {"issue": {"title": "no", "body": "it"}},
    {"pull_request": {"body": "it"}},
    {"comment": {"body": None}, "issue": {"body": "it"}},
    {"type": "event_callback", "event": {"type": "message", "text": "it"}},
    {"data": {"object": {"description": "it"}}},
    {"data": {"text": "it"}},
    {"message": {"text": "it"}},
    {"body": {"comment": "it"}},
    "it",
    b"it",
]
NOWHERE = [{}, {"zen": "Design for failure."}, {"body": 3}, {"body": "  "}, [], ["it"], 5, None, b"", b" \n"]


@pytest.mark.parametrize("body", PLACES)
def test_the_comment_is_found(body):
    assert comment_of(event(body)) == "it"


@pytest.mark.parametrize("body", NOWHERE)
async def test_an_event_without_text_is_discarded(body):
    assert comment_of(event(body)) is None
    with pytest.raises(Discard, match="no text"):
        await comment_sentiment(Script(event(body)))


class Script:
    """The face of a run that a pipeline sees: steps are computed at once, asks are answered by the lexicon."""

    def __init__(self, event):
        self.event = event
        self.names, self.asked = [], []

    async def step(self, name, work, *arguments):
        self.names.append(name)
        return work(*arguments)

    async def ask(self, name, prompt, *, untrusted, into, model):
        self.names.append(name)
        self.asked.append((prompt, untrusted, model))
        return into(**lexicon.answer(untrusted, into.model_json_schema()))


async def test_the_model_sees_the_redacted_comment_as_untrusted_text():
    run = Script(event({"body": "This is awful, I cannot log in! Mail ann@example.com or +49 30 901820 now!!"}))
    result = await comment_sentiment(run)
    assert run.names == list(comment_sentiment.steps) == ["redact", "classify"]
    seen = "This is awful, I cannot log in! Mail [EMAIL_1] or [PHONE_1] now!!"
    assert run.asked == [(PROMPT, seen, "fast")]
    assert (result.sentiment, result.urgency, result.language) == ("negative", "high", "en")
    assert result.redacted == {"email": 1, "phone": 1}


async def test_a_very_long_comment_is_judged_by_its_beginning():
    run = Script(event({"body": "good " * 10_000}))
    await comment_sentiment(run)
    assert len(run.asked[0][1]) == LONGEST


def test_the_local_lexicon_can_fill_the_verdict():
    assert Verdict(**lexicon.answer("thanks", Verdict.model_json_schema())).sentiment == "positive"
