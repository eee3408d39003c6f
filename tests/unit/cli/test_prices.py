"""Which models a budget cannot bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.prices import has_price, unbounded
from gateway.config import Alias, Candidate, Models

BOUND = {"max_tokens": 300}
FREE = {"input_cost_per_token": 0.0}


def models(*candidates):
    alias = Alias(name="fast", candidates=candidates, larger_context=candidates[:1])
    return Models(path=Path("models.yaml"), aliases={"fast": alias, "smart": alias})


def candidate(name, model, **params):
    return Candidate(name=name, model=model, params=params)


def test_a_model_without_a_bound_or_a_price_is_named_once_with_what_helps():
    found = list(
        unbounded(
            models(
                candidate("open", "openai/gpt-4o-mini"),
                candidate("own", "openai/our-own", **BOUND),
                candidate("bound", "openai/gpt-4o-mini", **BOUND),
                candidate("free", "ollama_chat/ours", **BOUND, **FREE),
                candidate("lexicon", "local/lexicon"),
            )
        )
    )
    assert found == [
        "model open has no max_tokens: an answer may cost more than was reserved for it",
        "model own has no known price and counts as free; give it input_cost_per_token",
    ]


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
def test_the_examples_of_models_yaml_have_a_price(model):
    assert has_price(candidate("one", model))
