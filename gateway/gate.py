"""What the routes are handed: everything that the composition root built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.access import Access
    from gateway.address import Addresses
    from gateway.admit import Admitter
    from gateway.body import Room
    from gateway.config import Config
    from gateway.ledger import Ledger
    from gateway.streams import Streams

Clock = Callable[[], "datetime"]


class Present:
    """What may change while the gateway runs: its configuration, and whether it is about to stop."""

    def __init__(self, config: Config) -> None:
        """Take the configuration to begin with; requests that arrive later see the one that is here then."""
        self.config = config
        self.leaving = False
        self.on_stop: list[Callable[[], None]] = []

    def stop(self) -> None:
        """Tell whoever wants to know that no more connections are taken."""
        self.leaving = True
        for told in self.on_stop:
            told()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The parts of a running gateway; `request.state.gate` in every route."""

    present: Present
    ledger: Ledger
    admitter: Admitter
    access: Access
    addresses: Addresses
    streams: Streams
    room: Room
    clock: Clock

    @property
    def config(self) -> Config:
        """The configuration as it is now."""
        return self.present.config
