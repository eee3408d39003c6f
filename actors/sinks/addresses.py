"""The address guard: where a sink may connect to, so that a name cannot lead it inside (SSRF).

The lists are our own: `ipaddress.is_global` holds NAT64 and 6to4 forms of private addresses, multicast, and the
metadata servers of clouds for global, and differs between Python releases. Source of the ranges: IANA's special-purpose
registries, https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

Zone = Literal["public", "private", "forbidden"]

# Reached only with allow_private.
PRIVATE = tuple(
    ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
        "100.64.0.0/10",  # carrier-grade NAT; Tailscale
        *("::1/128", "fc00::/7"),
    )
)
# Never reached: no receiver lives there, but credentials do, or it leads somewhere else than it says.
FORBIDDEN = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # Linux connects 0.0.0.0 to loopback
        "169.254.0.0/16",  # link-local: metadata of AWS, Azure, GCP and most others
        *("168.63.129.16/32", "100.100.100.200/32"),  # Azure's wire server, Alibaba's metadata
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),  # multicast, reserved and broadcast
        *("fd00:ec2::/32", "fd20:ce::/32"),  # metadata of AWS and GCP over IPv6
        "2001::/23",  # Teredo and other protocol assignments
        *("2001:db8::/32", "3fff::/20"),  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
    )
)
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that it leads to
UNICAST = IPv6Network("2000::/3")  # the only part of IPv6 that is routed; link- and site-local, multicast are not in it


class AddressRefused(Exception):  # noqa: N818 - a refusal, not a fault
    """The guard does not let a sink connect; the text names no address."""


def zone(text: str) -> Zone:
    """Tell where an address, as text, lies. Raises ValueError where it is not one."""
    address = _unwrapped(ip_address(text.partition("%")[0]))
    if _within(address, FORBIDDEN):
        return "forbidden"
    if _within(address, PRIVATE):
        return "private"
    return "public" if isinstance(address, IPv4Address) or address in UNICAST else "forbidden"


def guard(addresses: Sequence[str], *, allow_private: bool, encrypted: bool) -> None:
    """Raise AddressRefused unless every one of a name's addresses may be connected to.

    One bad address refuses all: a name that leads inside now and then is an attack or a mistake. Plain HTTP is only
    for sinks that declare themselves private.
    """
    zones = {zone(address) for address in addresses}
    if "forbidden" in zones:
        raise AddressRefused("its address is link-local, multicast, reserved or a cloud's metadata server")
    if "private" in zones and not allow_private:
        raise AddressRefused("its address is private or loopback; allow_private = true permits that")
    if not encrypted and not allow_private:
        raise AddressRefused("plain http to a public address; use https (or allow_private = true)")


async def resolve(host: str, port: int) -> Sequence[str]:
    """List the addresses of a name, in the system's order of preference. Raises OSError where there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _within(address: IPv4Address | IPv6Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
