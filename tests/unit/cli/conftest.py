from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ledger import StepView, WorkView

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def run() -> Callable[..., WorkView]:
    """A run of source blog, received a minute ago; every field can be set."""

    def make(state: str, **fields: Any) -> WorkView:
        known: dict[str, Any] = {
            "id": "evt_1",
            "kind": "run",
            "event_id": "evt_1",
            "source": "blog",
            "pipeline": "comment-sentiment",
            "sink": None,
            "received_at": NOW - timedelta(seconds=60),
            "updated_at": NOW - timedelta(seconds=12),
            "attempts": 0,
            "lives": 1,
            "generation": 0,
        }
        return WorkView(state=state, **known | fields)

    return make


@pytest.fixture
def delivery(run: Callable[..., WorkView]) -> Callable[..., WorkView]:
    """The delivery of that run to n8n."""

    def make(state: str, **fields: Any) -> WorkView:
        return run(state, **{"id": "dlv_1", "kind": "delivery", "sink": "n8n"} | fields)

    return make


@pytest.fixture
def step() -> Callable[..., StepView]:
    """A finished step."""

    def make(name: str, **fields: Any) -> StepView:
        return StepView(name=name, took=timedelta(milliseconds=350), at=NOW - timedelta(seconds=20), **fields)

    return make
