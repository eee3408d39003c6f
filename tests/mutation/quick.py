"""A pytest plugin: property tests with few examples, always the same ones, and without shrinking what fails."""

from __future__ import annotations

from hypothesis import Phase, settings

EXAMPLES = 40


def pytest_collection_modifyitems(items):
    for item in items:
        # A test's own `@settings` goes before any profile, and may not be applied twice.
        chosen = getattr(item.obj, "_hypothesis_internal_use_settings", None)
        if chosen is not None:
            item.obj._hypothesis_internal_use_settings = settings(
                chosen,
                max_examples=min(chosen.max_examples, EXAMPLES),
                derandomize=True,
                database=None,
                phases=(Phase.explicit, Phase.generate),
            )
