"""Reads a text with word lists and rules: sentiment, urgency, language, a summary. No network, no model, no key.

Sentiment is VADER's (https://github.com/cjhutto/vaderSentiment), which knows English only: other languages come out
neutral, and the reason says so. The results are honest guesses; nothing here understands anything.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema = dict[str, Any]

LONGEST = 10_000
"""Characters that are read of a text; a comment is shorter, and VADER's time grows with the square of a sentence's."""

LANGUAGES = (
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sr sv th tr uk "
    "ur vi zh"
)
"""The languages it tells apart: rarer ones win on two-word texts, mostly wrongly."""

PLACEHOLDER = re.compile(r"\[[A-Z]+_\d+\]|https?://\S+")
SENTENCE = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")
WORD = re.compile(r"[^\W\d_]{2,}")
DULL = (
    "the and for are was were with that this from have has had not but you your our they them its his her will would "
    "can could there their what when which who how all any been into than then also just very about out get got"
)
PRESSING = re.compile(
    r"\b(?:urgent\w*|asap|immediate\w*|emergenc\w+|critical\w*|outage|is down|went down|security (?:hole|issue|breach)"
    r"|breach\w*|hacked|data loss|lost (?:all|my) data|locked out|can(?:no|')t (?:log ?in|access|pay|work)|not working"
    r"|charged twice|fraud\w*|lawyer|legal action|right now|dringend\w*|sofort\w*|ausgefallen|urgence|immédiat\w*"
    r"|en panne|urgente\w*|inmediat\w*)\b",
    re.IGNORECASE,
)
CALM = re.compile(
    r"\b(?:no (?:rush|hurry)|not urgent|whenever|when you (?:have|get) (?:time|a moment)|just (?:wanted|a thought|fyi)"
    r"|fyi|thank(?:s| you)|nice to have|keine eile|merci|gracias|danke)\b",
    re.IGNORECASE,
)


class CannotAnswer(ValueError):  # noqa: N818 - says what it means
    """The schema requires what no word list can tell; the text names the field."""


def load() -> None:
    """Read the word lists and the language model into memory; else the first answer does."""
    score("good")
    language("good")


def score(text: str) -> float:
    """Rate the mood from -1 to 1: the mean of the sentences that have one; 0 where none has."""
    sentences = (piece for piece in SENTENCE.split(_readable(text)) if piece.strip())
    pieces = (piece[at : at + 400] for piece in sentences for at in range(0, len(piece), 400))
    moods = [mood for piece in pieces if (mood := _vader().polarity_scores(piece)["compound"])]
    return round(sum(moods) / len(moods), 4) if moods else 0.0


def sentiment(mood: float) -> str:
    """Name a mood by VADER's own thresholds: positive, neutral or negative."""
    return "positive" if mood >= 0.05 else "negative" if mood <= -0.05 else "neutral"


def urgency(text: str) -> str:
    """Guess high, normal or low by pressing and calming words and exclamation marks."""
    text = _readable(text)
    pressing = len(PRESSING.findall(text)) + ("!!" in text)
    calm = len(CALM.findall(text))
    return "high" if pressing > calm else "low" if calm > pressing else "normal"


def language(text: str) -> str | None:
    """Guess the language (ISO 639-1) among the common ones; None for a text too short to tell."""
    text = _readable(text)
    if not WORD.search(text):
        return None
    name, weight = _identifier().classify(text)
    return str(name) if weight > -1e30 else None  # below it: no feature of any language


def summarise(text: str, *, sentences: int = 2) -> str:
    """Pick the sentences whose words are the most frequent ones, in their own order; at most 500 characters."""
    found, dull = [piece.strip() for piece in SENTENCE.split(text[:LONGEST]) if piece.strip()], set(DULL.split())
    words = [[word for word in map(str.lower, WORD.findall(piece)) if word not in dull] for piece in found]
    weight = Counter(word for spoken in words for word in spoken)
    rank = [sum(weight[word] for word in spoken) / (len(spoken) + 3) for spoken in words]  # + 3: not the one-word ones
    best = sorted(range(len(found)), key=lambda at: -rank[at])[:sentences]
    return " ".join(found[at] for at in sorted(best))[:500]


def answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the fields of an object's JSON Schema that have a known name (see `read`), within their bounds.

    A field it does not know is left out where it may be. Raises CannotAnswer where it is required.
    """
    if not isinstance(fields := schema.get("properties"), dict):
        raise CannotAnswer("the local lexicon only answers JSON Schemas of an object with properties")
    known, filled = read(text), {}
    for name, shape in fields.items():
        try:
            filled[name] = _fit(known[name.lower()], _resolve(shape, schema))
        except (KeyError, ValueError):
            if name in schema.get("required", ()):
                raise CannotAnswer(f"the local lexicon cannot fill the required field {name!r}") from None
    return filled


def read(text: str) -> dict[str, Any]:
    """Tell all it can of a text, by field name: sentiment, score, urgency, language, reason, summary, text, answer."""
    mood, spoken, short = score(text), language(text), summarise(text)
    why = f"word lists (no language model): mood {mood:+.2f} in {spoken or 'unknown language'}"
    if spoken not in {None, "en"}:
        why += "; the lexicon knows English only"
    return {
        "sentiment": sentiment(mood),
        "score": mood,
        "urgency": urgency(text),
        "priority": urgency(text),
        "language": spoken or "en",
        "reason": why,
        "summary": short,
        "text": short,
        "answer": short,
    }


def _fit(value: Any, shape: Mapping[str, Any]) -> Any:
    """Bring a value into what the schema takes: one of an enum, a range, a length. Raises ValueError."""
    if options := shape.get("enum") or ([shape["const"]] if "const" in shape else None):
        return _option(str(value), options)
    if shape.get("type") in {"number", "integer"}:
        return _scale(float(value), shape)
    if shape.get("type") != "string" or len(value) < shape.get("minLength", 0):
        raise ValueError("not a text, or too short a one")
    return value[: shape.get("maxLength")]


def _option(value: str, options: list[Any]) -> Any:
    for option in options:
        if str(option).lower()[:3] == value[:3]:  # "pos" and "POSITIVE" are positive
            return option
    raise ValueError("none of the options")


def _scale(mood: float, shape: Mapping[str, Any]) -> float | int:
    low, high = shape.get("minimum", -1), shape.get("maximum", 1)
    scaled: float = low + (mood + 1) / 2 * (high - low)
    return round(scaled) if shape["type"] == "integer" else round(scaled, 4)


def _resolve(shape: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow `#/$defs/...`, and take the first variant that is not null."""
    if ref := shape.get("$ref"):
        return _resolve(schema["$defs"][ref.rpartition("/")[2]], schema)
    variants = [variant for variant in shape.get("anyOf", ()) if variant.get("type") != "null"]
    return _resolve(variants[0], schema) if variants else shape


def _readable(text: str) -> str:
    return PLACEHOLDER.sub(" ", text[:LONGEST])


@cache
def _vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415 - read when first needed

    return SentimentIntensityAnalyzer()


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - loads numpy and a model: 0.7 s

    whole = LanguageIdentifier.from_model_file(MODEL_FILE)
    whole.set_languages(LANGUAGES.split())
    tables = whole.nb_ptc, whole.nb_pc, whole.nb_classes, whole.tk_nextmove, whole.tk_output
    return LanguageIdentifier(*tables, tk_row=whole.tk_row)  # without the other languages: 17 MB less
