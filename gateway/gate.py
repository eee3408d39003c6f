"""What the routes are handed: everything that the composition root built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gateway.verify import read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from gateway.access import Access
    from gateway.address import Addresses
    from gateway.admit import Admitter
    from gateway.body import Room
    from gateway.config import Config, Door, Source
    from gateway.ledger import Ledger, Rules
    from gateway.streams import Streams
    from gateway.verify import Key

Clock = Callable[[], "datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A source, with all that is the same for each of its requests worked out once."""

    source: Source
    keys: tuple[Key, ...] = field(repr=False)
    rules: Rules
    tolerance: timedelta

    @classmethod
    def build(cls, source: Source, door: Door) -> Entrance:
        """Make the entrance of a source whose secrets the configuration has found good."""
        tolerance = source.scheme.tolerance if source.tolerance is None else source.tolerance
        rules = replace(source.rules, max_total=door.max_backlog)
        return cls(source=source, keys=tuple(read_keys(source.scheme, source.keys)), rules=rules, tolerance=tolerance)


class Present:
    """What may change while the gateway runs: its configuration, and whether it is about to stop."""

    config: Config
    entrances: Mapping[str, Entrance]

    def __init__(self, config: Config) -> None:
        """Take the configuration to begin with."""
        self.use(config)
        self.leaving = False
        self.on_stop: list[Callable[[], None]] = []

    def use(self, config: Config) -> None:
        """Put a configuration into use, for every request that arrives from here on."""
        self.config = config
        self.entrances = {name: Entrance.build(source, config.door) for name, source in config.sources.items()}

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
