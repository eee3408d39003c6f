"""The address that a request comes from, as far as trusted proxies tell it, and how much may come from one address."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from gateway.body import text, values
from gateway.config import Door

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ipaddress import IPv4Address
    from typing import Any

    from gateway.ledger import Limit

    Address = IPv4Address | IPv6Address

MOST_ADDRESSES = 100_000  # some 20 MB; the one that was quiet for longest is forgotten
MOST_JUDGED = 10_000
LONGEST_NOTE = 64  # characters; an IPv6 address with a port has at most 53
MOST_HOPS = 20  # of a proxy's header worth reading
UNKNOWN = "unknown"
SITE = 64  # bits of an IPv6 address that one sender holds
FORWARDED_FOR = re.compile(r'(?i)(?:^|;)\s*for="?([^";]*)')  # https://datatracker.ietf.org/doc/html/rfc7239#section-4
FORWARDED_PROTO = re.compile(r'(?i).*[;,\s]?proto="?(https?)')
PLACE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+)(?::\d+)?|([0-9A-Fa-f:.]+)")


class Addresses:
    """What each address may still send (GCRA), in a bounded memory of this process."""

    def __init__(self, *, most: int = MOST_ADDRESSES, timer: Callable[[], float] = time.monotonic) -> None:
        """Take how many addresses are remembered, and a clock that never goes back, in seconds."""
        self._most = most
        self._timer = timer
        self._arrivals: OrderedDict[str, float] = OrderedDict()
        self._peers = Peers(Door())

    def charge(self, scope: Mapping[str, Any], door: Door) -> float:
        """Charge a request to its sender's address; gives 0, or the seconds until it may be tried again."""
        limit = door.per_address
        if limit is None:
            return 0.0
        if self._peers.door is not door:
            self._peers = Peers(door)
        sender = self._peers.sender_of(scope)
        return 0.0 if sender is None else self._wait(sender, limit)

    def _wait(self, sender: str, limit: Limit) -> float:
        now, interval = self._timer(), limit.period.total_seconds() / limit.count
        arrival = max(self._arrivals.get(sender, 0.0), now) + interval
        early = arrival - now - limit.burst * interval
        if early > 0:
            return early
        self._arrivals[sender] = arrival
        self._arrivals.move_to_end(sender)
        if len(self._arrivals) > self._most:
            self._arrivals.popitem(last=False)
        return 0.0


class Peers:
    """Whom the requests come from, under one set of rules; it remembers the addresses that it has judged."""

    def __init__(self, door: Door) -> None:
        """Take the rules."""
        self.door = door
        self._header = door.forwarded.encode()
        self._judged: dict[str, str | None] = {}

    def sender_of(self, scope: Mapping[str, Any]) -> str | None:
        """Name the sender: its IPv4 address, or the /64 of its IPv6 address; None for a proxy that speaks for none.

        Of the addresses that trusted proxies noted, it is the last one that is no trusted proxy's: what stands before
        it the sender may have written itself. A Unix socket counts as a trusted proxy.
        """
        client = scope["client"]
        sender = self._judge(client[0]) if client else None
        if sender is None and (lines := values(scope["headers"], self._header)):
            hops = (self._judge(hop) for hop in reversed(_noted(lines, self.door)))
            sender = next((hop for hop in hops if hop is not None), None)
        return sender

    def _judge(self, hop: str) -> str | None:
        """Name an address; None where it is a trusted proxy's."""
        if hop not in self._judged:
            if len(self._judged) >= MOST_JUDGED:
                self._judged.clear()
            address = _parsed(hop)
            self._judged[hop] = None if _trusted(address, self.door) else _name(address)
        return self._judged[hop]


def scheme_of(scope: Mapping[str, Any], door: Door) -> str:
    """Give "https" where a trusted proxy says that its sender used it, else what this connection uses."""
    client, headers = scope["client"], scope["headers"]
    if client and not _trusted(_parsed(client[0]), door):
        return str(scope["scheme"])
    if door.forwarded == "forwarded":
        notes = [FORWARDED_PROTO.search(value.decode("latin-1")) for value in values(headers, b"forwarded")]
        said = notes[-1][1] if notes and notes[-1] else ""
    else:
        said = text(headers, b"x-forwarded-proto")
    return said.lower() if said.lower() in {"http", "https"} else str(scope["scheme"])


def _noted(lines: list[bytes], door: Door) -> list[str]:
    """Give what the proxies noted, the nearest one's note last."""
    notes = b",".join(lines).decode("latin-1").split(",")
    if door.forwarded == "forwarded":
        found = [FORWARDED_FOR.search(note.strip()) for note in notes]
        notes = [match[1] if match else "" for match in found]
    return [note[:LONGEST_NOTE] for note in notes[-MOST_HOPS:]]


def _parsed(hop: str) -> Address | None:
    match = PLACE.fullmatch(hop.strip())
    try:
        address = ip_address(match[1] or match[2] or match[3]) if match else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _trusted(address: Address | None, door: Door) -> bool:
    return address is not None and any(address in network for network in door.trusted_proxies)


def _name(address: Address | None) -> str:
    if isinstance(address, IPv6Address):
        return str(ip_network((address, SITE), strict=False))
    return str(address) if address else UNKNOWN
