"""Candidates and aliases that point at the fake OpenAI server, as models.yaml would give them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config import Alias, Candidate, Models

if TYPE_CHECKING:
    from fakes.openai_server import FakeOpenAI

SECONDS = timedelta(seconds=1)


def candidate(fake: FakeOpenAI, name: str, **over: Any) -> Candidate:
    """Make a candidate of that name, which is also the model that the fake is asked for."""
    params = {"api_base": fake.url, "api_key": "sk-fake"} | over.pop("params", {})
    return Candidate(name=name, model=over.pop("model", f"openai/{name}"), params=params, **over)


def models(*candidates: Candidate, deadline: timedelta = 10 * SECONDS, **over: Any) -> Models:
    """Make the alias `fast` of these candidates, in order."""
    alias = Alias(name="fast", candidates=candidates, deadline=deadline, **over)
    return Models(path=Path("models.yaml"), aliases={"fast": alias})
