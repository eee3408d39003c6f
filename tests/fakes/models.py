"""Candidates and aliases that point at the fake providers, as models.yaml would give them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes.dialects import DIALECTS

from actors.llm import Asker, provider
from actors.llm.purse import Budgets, Purse
from gateway.config import Alias, Candidate, Models

if TYPE_CHECKING:
    from fakes.model_server import FakeProvider

    from gateway.ledger import Ledger

SECONDS = timedelta(seconds=1)


def candidate(fake: FakeProvider, name: str, **over: Any) -> Candidate:
    """Make a candidate of that name, which is also its model's at the fake, unless `model` says another."""
    model = over.pop("model", f"openai/{name}")
    provider = model.partition("/")[0]
    base = fake.base(provider if provider in DIALECTS else "openai")
    params = {"api_base": base, "api_key": "sk-fake"} | over.pop("params", {})
    return Candidate(name=name, model=model, params=params, **over)


def models(*candidates: Candidate, deadline: timedelta = 10 * SECONDS, **over: Any) -> Models:
    """Make the alias `fast` of these candidates, in order."""
    alias = Alias(name="fast", candidates=candidates, deadline=deadline, **over)
    return Models(path=Path("models.yaml"), aliases={"fast": alias})


def asker(configured: Models, ledger: Ledger, budgets: Budgets | None = None, told: list[Any] | None = None) -> Asker:
    """Make what asks them, under those budgets; notices go to `told`."""

    async def notify(*notice: Any) -> None:
        if told is not None:
            told.append(notice)

    purse = Purse(ledger.spending, budgets or Budgets(), price=provider.price, notify=notify)
    return Asker(configured, ledger, purse=purse, notify=notify)
