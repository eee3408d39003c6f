"""Faults of every kind, by a hash of the model, the ticket and how often it was asked: the same for whoever asks.

What is a key's stays with its key: of the first model's three one is unknown and one has no money left. What is a
request's stays with its ticket: those beyond a number are refused by everybody.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from fakes import model_server as say
from fakes.dialects import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fakes.model_server import Asked, Scripted

PREFIXES = {"first": "openai", "second": "anthropic", "third": "gemini"}
SHARES = {"first": 0.18, "second": 0.05, "third": 0.01}
UNKNOWN_KEY, SPENT_KEY, GOOD_KEY = "sk-unknown", "sk-spent", "sk-good"
TICKET = re.compile(r"Label ticket (\d+)")
LABELS = ("billing", "bug", "praise")

PRICES: Mapping[str, tuple[float, float]] = {
    "first": (2.5e-6, 10e-6),
    "second": (3e-6, 15e-6),
    "third": (1.25e-6, 10e-6),
}
"""US dollars per token read and written."""

KINDS: Mapping[str, Callable[[Said], Scripted]] = {
    "429": lambda _: say.status(429),
    "429, Retry-After": lambda _: say.status(429, retry_after="2"),
    "500": lambda _: say.status(500),
    "overloaded (529)": lambda _: say.overloaded(),
    "context length": lambda _: say.too_long(),
    "content filter": lambda _: say.refused(),
    "hang": lambda said: replace(say.hang(), answer=said),
    "drip": lambda said: say.Scripted(answer=said, drip=0.05),
    "broken JSON": lambda said: say.Scripted(answer=said, cut=40),
    "HTML": lambda _: say.html(),
    "HTML 502": lambda _: say.html(502),
    "no choice": lambda said: say.Scripted(answer=replace(said, text=None)),
    "no usage": lambda said: say.Scripted(answer=replace(said, tells=False)),
    "cut short": lambda said: say.Scripted(answer=replace(said, finish="length")),
    "does not fit": lambda said: say.Scripted(answer=replace(said, text='{"label": "nonsense", "reply": "?"}')),
}
UNHEARD = frozenset({"drip", "broken JSON"})
"""Kinds whose completion is billed, and never arrives."""

UNREADABLE = "gemini"
"""Whose answers LiteLLM cannot read where they tell no tokens; so they never arrive, either."""


class Mix:
    """Answers the tickets below `events` well, but for the shares of faults; refuses those beyond."""

    def __init__(self, events: int) -> None:
        """Start with nothing asked."""
        self._events = events
        self._times: Counter[tuple[str, int]] = Counter()
        self._kinds: dict[int, str] = {}

    def __call__(self, call: Asked) -> Scripted:
        """Answer one call."""
        text = json.dumps(call.body)
        ticket = int(TICKET.search(text)[1])
        if call.key in {UNKNOWN_KEY, SPENT_KEY}:
            return say.bad_key() if call.key == UNKNOWN_KEY else say.quota()
        if ticket >= self._events:
            return say.status(400)
        self._times[call.model, ticket] += 1
        asked = f"{call.model} {ticket} {self._times[call.model, ticket]}"
        said = answer(ticket, read=len(text))
        if draw(asked) >= SHARES[call.model]:
            return say.Scripted(answer=said)
        kind = list(KINDS)[int(draw(f"kind {asked}") * len(KINDS))]
        self._kinds[id(call)] = kind
        return KINDS[kind](said)

    def kind(self, call: Asked) -> str:
        """Name the fault that a call met; empty where it met none, or its key or its ticket was to blame."""
        return self._kinds.get(id(call), "")

    def heard(self, call: Asked) -> bool:
        """Whether the answer of that call can have arrived."""
        silent = self.kind(call) == "no usage" and PREFIXES[call.model] == UNREADABLE
        return self.kind(call) not in UNHEARD and not silent


def answer(ticket: int, *, read: int) -> Said:
    """Make a good answer; its tokens are those of no rule of thumb."""
    words = "We have looked into this and will tell you more by tomorrow. " * (1 + ticket % 5)
    text = json.dumps({"label": LABELS[ticket % len(LABELS)], "reply": words.strip()})
    usage = (round(read / (3 + draw(f"r {ticket}"))), round(len(text) / (3 + draw(f"w {ticket}"))))
    return Said(text=text, usage=usage)


def draw(what: str) -> float:
    """Draw a number from 0 to 1, always the same one."""
    return int.from_bytes(hashlib.sha256(what.encode()).digest()[:8]) / 2**64


def bill(calls: Sequence[Asked], *, prices: Mapping[str, tuple[float, float]] = PRICES) -> float:
    """Give what the provider's own book says of those calls, in US dollars."""
    billed = [(call.billed, prices[call.model]) for call in calls if call.billed]
    return sum(read * each[0] + written * each[1] for (read, written), each in billed)
