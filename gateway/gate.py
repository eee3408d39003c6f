"""What the routes are handed: everything that the composition root built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.access import Access
    from gateway.admit import Admitter
    from gateway.body import Room
    from gateway.config import Config
    from gateway.ledger import Ledger

Clock = Callable[[], "datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The parts of a running gateway; `request.state.gate` in every route."""

    config: Config
    ledger: Ledger
    admitter: Admitter
    access: Access
    room: Room
    clock: Clock
