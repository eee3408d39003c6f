"""The word lists: what they can tell, what they admit they cannot, and that hostile text costs no time."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from actors.llm import lexicon

ANGRY = "The service is down and I cannot log in. This is terrible, I am very angry!!"


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("I love this, it works great!", "positive"),
        (ANGRY, "negative"),
        ("The invoice is attached.", "neutral"),
        ("", "neutral"),
        ("Der Dienst ist schrecklich.", "neutral"),
    ],
)
def test_english_moods_are_told(text, sentiment):
    assert lexicon.sentiment(lexicon.score(text)) == sentiment


@pytest.mark.parametrize(
    ("text", "urgency"),
    [
        (ANGRY, "high"),
        ("URGENT: production is down", "high"),
        ("Bitte dringend helfen", "high"),
        ("No rush, whenever you have time. Thanks", "low"),
        ("How do I change my avatar?", "normal"),
        ("", "normal"),
    ],
)
def test_urgency_goes_by_pressing_and_calming_words(text, urgency):
    assert lexicon.urgency(text) == urgency


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please fix the login bug", "en"),
        ("Der Dienst ist seit heute Morgen nicht erreichbar", "de"),
        ("Le service est en panne depuis ce matin", "fr"),
        ("こんにちは、ログインできません", "ja"),
        ("[EMAIL_1] https://example.com/x 123", None),
        ("", None),
    ],
)
def test_language_is_told_or_left_open(text, language):
    assert lexicon.language(text) == language


def test_a_language_the_lexicon_does_not_know_is_admitted():
    reason = lexicon.read("Der Dienst ist seit heute Morgen nicht erreichbar")["reason"]
    assert "no language model" in reason
    assert "English only" in reason


def test_a_summary_is_made_of_the_text_s_own_sentences_in_order():
    text = "Hello. The export button of the report fails. I like tea. The report export fails with an error. Bye."
    assert lexicon.summarise(text) == "The export button of the report fails. The report export fails with an error."


class Verdict(BaseModel):
    sentiment: Literal["positive", "neutral", "negative"]
    urgency: Literal["low", "normal", "high"]
    language: Annotated[str, Field(pattern="^[a-z]{2}$")]
    reason: Annotated[str, Field(max_length=40)]
    note: str | None = None


def test_the_fields_of_a_schema_are_filled_within_their_bounds():
    verdict = Verdict(**lexicon.answer(ANGRY, Verdict.model_json_schema()))
    assert (verdict.sentiment, verdict.urgency, verdict.language) == ("negative", "high", "en")
    assert (len(verdict.reason), verdict.note) == (40, None)


class Mood(StrEnum):
    POS = "POS"
    NEG = "NEG"


class Scored(BaseModel):
    sentiment: Mood | None
    score: Annotated[int, Field(ge=0, le=10)]


def test_other_spellings_references_and_scales_are_met():
    assert lexicon.answer(ANGRY, Scored.model_json_schema()) == {"sentiment": "NEG", "score": 1}


@pytest.mark.parametrize(
    "shape",
    [
        {"properties": {"team": {"type": "string"}}, "required": ["team"]},
        {"properties": {"sentiment": {"enum": ["calm", "cross"]}}, "required": ["sentiment"]},
        {"properties": {"summary": {"type": "array"}}, "required": ["summary"]},
        {"type": "array"},
        {},
    ],
)
def test_what_it_cannot_fill_is_a_clear_error(shape):
    with pytest.raises(lexicon.CannotAnswer, match="the local lexicon"):
        lexicon.answer(ANGRY, shape)


@pytest.mark.parametrize("unit", ["but ", "a", ". ", "can't ", "!", "[A", "https://", "\n", "is "])
def test_hostile_text_takes_no_time(unit):
    lexicon.read("warm up")
    began = time.process_time()
    lexicon.read(unit * (100_000 // len(unit)))
    assert time.process_time() - began < 0.5
