"""A delivery to send."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from actors.sinks import Outgoing
from gateway.ledger.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def outgoing() -> Callable[..., Outgoing]:
    event = Event(
        id="evt_01",
        source="blog",
        pipeline="comment-sentiment",
        received_at=datetime(2026, 3, 1, 11, 59, 30, 250_000, tzinfo=UTC),
        body=b'{"comment":"s3cret-body"}',
    )

    def make(**fields: object) -> Outgoing:
        given = {"delivery_id": "dlv_01", "event": event, "result": {"label": "schön"}, "generation": 1}
        return Outgoing(**given | fields)

    return make
