"""A Redis that Sentinels watch: they tell which of several servers is the primary now.

redis+sentinel://[user:password@]host[:port][,host[:port]]/name[/db][?options]

Hosts are Sentinels, `name` is what they call the primary. `rediss+sentinel` is TLS to the servers and to the Sentinels.
The options `sentinel_username` and `sentinel_password` are for the Sentinels, all others are redis-py's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from redis.asyncio.sentinel import Sentinel
from redis.asyncio.sentinel import SentinelConnectionPool as Pool
from redis.connection import parse_url
from redis.sentinel import Sentinel as BlockingSentinel
from redis.sentinel import SentinelConnectionPool as BlockingPool

if TYPE_CHECKING:
    from redis import Redis as BlockingRedis
    from redis.asyncio import Redis

SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
PORT = 26379


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What such a URL says: the primary's name, its Sentinels, the options of connections to it and to them."""

    name: str
    sentinels: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(repr=False)
    of_sentinels: dict[str, Any] = field(repr=False)

    def reached(self, given: dict[str, Any]) -> dict[str, Any]:
        """Give the arguments of redis-py's Sentinel; one that is silent leaves time to ask the others."""
        share = {name: value / len(self.sentinels) for name, value in given.items() if name.endswith("_timeout")}
        return {
            "sentinels": list(self.sentinels),
            "sentinel_kwargs": given | share | self.of_sentinels,
            **given,
            **self.options,
        }


class WatchedPool(Pool):
    """Connections to the primary; closes those to the Sentinels, too."""

    async def aclose(self) -> None:
        """Close all."""
        await super().aclose()
        await self.sentinel_manager.aclose()


class BlockingWatchedPool(BlockingPool):
    """The same for threads."""

    def close(self) -> None:
        """Close all."""
        super().close()
        self.sentinel_manager.close()


def connect_watched(watched: Watched, given: dict[str, Any]) -> Redis:
    """Make a client of whatever is the primary; `given` are the options of every connection."""
    sentinel = Sentinel(**watched.reached(given))  # type: ignore[no-untyped-call]
    redis: Redis = sentinel.master_for(watched.name, connection_pool_class=WatchedPool)
    return redis


def connect_watched_blocking(watched: Watched, given: dict[str, Any]) -> BlockingRedis:
    """Make the same for a thread."""
    sentinel: Any = BlockingSentinel(**watched.reached(given))  # type: ignore[no-untyped-call]
    redis: BlockingRedis = sentinel.master_for(watched.name, connection_pool_class=BlockingWatchedPool)
    return redis


def read_watched(url: str) -> Watched | None:
    """Read such a URL; None for one of another scheme. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in SCHEMES:
        return None
    place, mark, query = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    name, _, db = path.partition("/")
    if not name or not (db or "0").isdecimal():
        raise ValueError("expected redis+sentinel://HOST:PORT,HOST:PORT/NAME or .../NAME/DB")
    read: Any = parse_url
    options = dict(read(f"{SCHEMES[scheme.lower()]}://{login}{at}/{db}{mark}{query}"))
    own = {key: options.pop(f"sentinel_{key}") for key in ("username", "password") if f"sentinel_{key}" in options}
    if options.pop("connection_class", None):
        own |= {"ssl": True} | {key: value for key, value in options.items() if key.startswith("ssl_")}
        options["ssl"] = True
    sentinels = tuple(_address(host) for host in hosts.split(","))
    return Watched(name=unquote(name), sentinels=sentinels, options=options, of_sentinels=own)


def _address(text: str) -> tuple[str, int]:
    host = urlsplit(f"//{text}")
    if not host.hostname:
        raise ValueError("expected the Sentinels as HOST:PORT,HOST:PORT")
    return host.hostname, host.port or PORT
