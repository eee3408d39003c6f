"""The [gateway] table: what the public listener allows to all sources together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import PlainValidator

from gateway.config.errors import expected
from gateway.config.reading import Reading, Table
from gateway.config.values import Count, Duration, choice, duration, rate, whole
from gateway.ledger.event import Limit, Wait

Network = IPv4Network | IPv6Network
ForwardedBy = Literal["x-forwarded-for", "forwarded"]
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LONGEST_WAIT = timedelta(milliseconds=900)
PER_ADDRESS = Limit(count=1200, period=timedelta(minutes=1), burst=1200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The rules of the public listener.

    `per_address` is what one address may send before anything is verified (None: no limit), kept per process; those in
    `trusted_proxies` are never limited, and only from them is the header `forwarded` believed. `in_flight` bounds the
    requests that wait for the ledger, per process; `max_backlog` the events of all sources that wait for their run;
    `streams` the open event streams, per process. `notice` is how long /ready says 503 before a stopping process takes
    no more connections. `wait_replicas` (0: none) of Redis must have an event, within `wait_timeout`, before it is
    accepted.
    """

    per_address: Limit | None = PER_ADDRESS
    trusted_proxies: tuple[Network, ...] = LOOPBACK
    forwarded: ForwardedBy = "x-forwarded-for"
    in_flight: int = 512
    max_backlog: int = 100_000
    streams: int = 1000
    notice: timedelta = timedelta(milliseconds=100)
    wait_replicas: int = 0
    wait_timeout: timedelta = timedelta(milliseconds=500)

    @property
    def wait(self) -> Wait | None:
        """What the ledger is told of that."""
        return Wait(replicas=self.wait_replicas, within=self.wait_timeout) if self.wait_replicas else None


def network(value: object) -> Network:
    """Parse a network such as "10.0.0.0/8", or a single address."""
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError:
        raise expected('a network such as "10.0.0.0/8", or an address', value) from None


def _limit_or_off(value: object) -> Limit | Literal["off"]:
    if value == "off":
        return "off"
    count, period = rate(value)
    return Limit(count=count, period=period, burst=count)


def _short(value: object) -> timedelta:
    found = duration(value)
    if found > LONGEST_WAIT:
        raise expected('at most "900ms": the whole admission has one second', value)
    return found


class DoorTable(Table):
    """The keys of [gateway]."""

    per_address: Annotated[Limit | Literal["off"], PlainValidator(_limit_or_off)] | None = None
    trusted_proxies: tuple[Annotated[Network, PlainValidator(network)], ...] | None = None
    forwarded: (
        Annotated[Literal["x-forwarded-for", "forwarded"], PlainValidator(choice("x-forwarded-for", "forwarded"))]
        | None
    ) = None
    in_flight: Annotated[int, PlainValidator(whole(1, 100_000))] | None = None
    max_backlog: Count | None = None
    streams: Annotated[int, PlainValidator(whole(0, 100_000))] | None = None
    notice: Duration | None = None
    wait_replicas: Annotated[int, PlainValidator(whole(0, 100))] | None = None
    wait_timeout: Annotated[timedelta, PlainValidator(_short)] | None = None


def read_door(reading: Reading, raw: object) -> Door:
    """Read [gateway]; notes its mistakes and then gives rules that must not be used."""
    table = reading.table(DoorTable, {} if raw is None else raw, at=("gateway",))
    rules = table.written() if table else {}
    return Door(**rules | ({"per_address": None} if rules.get("per_address") == "off" else {}))
