"""Models whose calls no budget can bound: those without `max_tokens`, and those whose price nobody knows."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.config import Candidate, Models

LIST = "model_prices_and_context_window_backup.json"
"""LiteLLM's list of prices, in its package: read as it lies there, for importing LiteLLM takes seconds."""

OWN_PRICES = frozenset({"input_cost_per_token", "output_cost_per_token"})
BOUNDS = frozenset({"max_tokens", "max_completion_tokens"})
FREE = "local/"


def unbounded(models: Models) -> Iterator[str]:
    """Say of each model that may be asked why a budget over it cannot be kept exactly."""
    everyone = {one.name: one for alias in models.aliases.values() for one in alias.everyone}
    for name, candidate in sorted(everyone.items()):
        if candidate.model.startswith(FREE):
            continue
        if not has_price(candidate):
            yield f"model {name} has no known price and counts as free; give it input_cost_per_token"
        elif not BOUNDS & candidate.params.keys():
            yield f"model {name} has no max_tokens: an answer may cost more than was reserved for it"


def has_price(candidate: Candidate) -> bool:
    """Whether the candidate, or LiteLLM's list, says what a token costs."""
    if OWN_PRICES & candidate.params.keys():
        return True
    listed = _listed()
    return any("input_cost_per_token" in listed.get(name, {}) for name in _names(candidate.model))


def _names(model: str) -> tuple[str, str]:
    return model, model.partition("/")[2]


@cache
def _listed() -> Mapping[str, Any]:
    """Give the list; empty where LiteLLM is not installed, or has none any more."""
    found = find_spec("litellm")
    path = Path(found.origin).with_name(LIST) if found and found.origin else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else {}
