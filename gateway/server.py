"""uvicorn as the gateway runs it: our protocols, no access log, bounded connections, and an end in good order."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import uvicorn

from gateway.app import check_links
from gateway.config import ConfigError, load_config
from gateway.wire import MOST_CONNECTIONS, HttptoolsWire
from gateway.wire_h11 import MOST_INCOMPLETE, H11Wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from starlette.types import ASGIApp

    from gateway.app import App
    from gateway.config import Config
    from gateway.gate import Present
    from gateway.settings import Settings

log = logging.getLogger("hookmill.gateway")
PROTOCOLS = {"httptools": HttptoolsWire, "h11": H11Wire}
KEEP_ALIVE_SECONDS = 5
SHUTDOWN_SECONDS = 10  # longer than a slow body and an admission together
BACKLOG = 2048
TICK_SECONDS = 0.1  # how often uvicorn calls `on_tick`
MOST_ADMINS = 100  # connections of the admin listener


class Aside(uvicorn.Server):
    """The server of the admin listener: it begins and ends with the public one, which opens the ledger."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        """Take uvicorn's configuration, and where to listen."""
        super().__init__(config)
        self._listener = listener
        self._state: dict[str, Any] = {}
        self._serving: asyncio.Task[None]

    def begin(self, state: dict[str, Any]) -> None:
        """Serve, with what the lifespan of the application has made."""
        self._state = state
        self._serving = asyncio.create_task(self.serve(sockets=[self._listener]))

    async def end(self) -> None:
        """Answer what is in flight, and stop."""
        self.should_exit = True
        await self._serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        self.lifespan.state = self._state
        await super().startup(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the public server."""
        yield


class Server(uvicorn.Server):
    """uvicorn's server; told to stop, it first lets /ready say so for a while, and a second signal shortens that."""

    def __init__(self, config: uvicorn.Config, present: Present, aside: Aside | None = None) -> None:
        """Take uvicorn's configuration, what the application looks at, and the server that comes and goes with it."""
        super().__init__(config)
        self.present = present
        self.aside = aside
        self._notice = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to leave."""
        if self.present.leaving:
            super().handle_exit(sig, frame)
        else:
            self._captured_signals.append(sig)
            self.leave()

    def leave(self) -> None:
        """Let /ready turn 503, while requests are still taken."""
        self.present.leaving = True
        self._notice = self.present.config.door.notice.total_seconds()

    async def on_tick(self, counter: int) -> bool:
        """Stop once the notice is over."""
        if self.present.leaving:
            self._notice -= TICK_SECONDS
            self.should_exit = self.should_exit or self._notice <= 0
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open what the application needs, listen, and then let the admin listener begin."""
        await super().startup(sockets)
        if self.aside is not None:
            self.aside.begin(self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, end the streams, answer what is in flight."""
        self.present.stop()
        if self.aside is not None:
            await self.aside.end()
        await super().shutdown(sockets)


def make_server(app: App, *, http: str = "httptools", admin: socket.socket | None = None) -> Server:
    """Configure the server of an application that `build_app` made.

    `http` names the parser, `admin` is where the admin listener listens, if there is to be one.
    """
    present = app.present
    most = MOST_CONNECTIONS + present.config.door.streams
    aside = Aside(_configure(app.admin, http, most=MOST_ADMINS, lifespan="off"), admin) if admin else None
    return Server(_configure(app, http, most=most, lifespan="on"), present, aside)


def _configure(app: ASGIApp, http: str, *, most: int, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PROTOCOLS[http],
        h11_max_incomplete_event_size=MOST_INCOMPLETE,
        ws="none",
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # address.py reads them, and from trusted proxies only
        limit_concurrency=most,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def load_anew(settings: Settings, env: Mapping[str, str]) -> Config | None:
    """Read the configuration and its secrets again; a broken one is told in one log line, and gives None.

    Secrets in files are read anew; a variable of a running process has the value that it had at its start.
    """
    try:
        config = load_config(settings.config, env)
        check_links(config, settings)
    except ConfigError as error:
        log.error("configuration not reloaded, the old one stays: %s", "; ".join(error.lines))  # noqa: TRY400 - one line
        return None
    return config


def reload(present: Present, settings: Settings, env: Mapping[str, str]) -> None:
    """Put the configuration as it is written now into use, for every request that begins from here on."""
    config = load_anew(settings, env)
    if config is not None:
        present.use(config)
        log.info("configuration reloaded: %d sources, %d sinks", len(config.sources), len(config.sinks))
