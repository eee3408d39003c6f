"""The gateway's composition root: `create_app()` reads the environment and builds what the routes are handed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypedDict

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from gateway.access import Access
from gateway.address import Addresses
from gateway.admin import make_admin
from gateway.admit import Admitter
from gateway.body import Room
from gateway.config import ConfigError, load_config
from gateway.figures import pushing
from gateway.gate import Clock, Gate, Present
from gateway.hooks import Hooks
from gateway.ledger import open_ledger
from gateway.openapi import show_openapi
from gateway.problem import Problems, pass_on
from gateway.receive import HOOKS
from gateway.settings import read_settings
from gateway.status import list_events, live, ready, show_event, stream_event
from gateway.streams import Streams
from otel.log import log_records
from otel.setup import set_up_telemetry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gateway.config import Config
    from gateway.ledger import Ledger
    from gateway.settings import Settings
    from otel.figures import Figures
    from otel.records import Listener

LedgerFactory = Callable[[], Awaitable["Ledger"]]


class State(TypedDict):
    """What the lifespan gives to every request."""

    gate: Gate


class App:
    """The application: what providers call goes straight to the hooks, everything else by Starlette's routes."""

    def __init__(self, *, present: Present, hooks: ASGIApp, routes: ASGIApp, admin: ASGIApp) -> None:
        """Take what may change while it runs, its two halves, and what the admin listener serves.

        The lifespan is that of the routes.
        """
        self.present = present
        self.admin = admin
        self._hooks = hooks
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request, or the lifespan, on."""
        is_hook = scope["type"] == "http" and scope["path"].startswith(HOOKS)
        await (self._hooks if is_hook else self._routes)(scope, receive, send)


def utc_now() -> datetime:
    """Give the present moment: the clock that signatures are judged by."""
    return datetime.now(UTC)


def create_app() -> App:
    """Build the application from the environment; raises ConfigError with one clear line."""
    settings = read_settings(os.environ)
    config = load_config(settings.config, os.environ)
    telemetry = set_up_telemetry(os.environ, name="gateway")
    return build_app(
        config,
        settings,
        ledger_factory=partial(open_ledger, settings.redis_url, retention=config.retention, wait=config.door.wait),
        listeners=(log_records, *telemetry.listeners),
        figures=telemetry.figures,
        on_close=telemetry.stop,
    )


def build_app(
    config: Config,
    settings: Settings,
    *,
    ledger_factory: LedgerFactory,
    listeners: tuple[Listener, ...] = (),
    figures: Figures | None = None,
    on_close: Callable[[], None] = lambda: None,
    clock: Clock = utc_now,
) -> App:
    """Build the application of these parts; the lifespan opens the ledger and closes it, and calls `on_close` last."""
    check_links(config, settings)
    present = Present(config)
    routes = Starlette(
        routes=[
            Route("/events", list_events, methods=["GET"]),
            Route("/events/{event_id}", show_event, methods=["GET"]),
            Route("/events/{event_id}/stream", stream_event, methods=["GET"]),
            Route("/live", live, methods=["GET"]),
            Route("/ready", ready, methods=["GET"]),
            Route("/openapi.json", show_openapi, methods=["GET"]),
        ],
        middleware=[Middleware(Problems)],
        exception_handlers={HTTPException: pass_on},
        lifespan=partial(
            lifespan,
            present=present,
            settings=settings,
            ledger_factory=ledger_factory,
            figures=figures,
            on_close=on_close,
            clock=clock,
        ),
    )
    routes.router.redirect_slashes = False
    return App(present=present, hooks=Hooks(listeners), routes=routes, admin=make_admin())


def check_links(config: Config, settings: Settings) -> None:
    """Refuse a source that is to answer with a signed link where there is no key to sign it."""
    for source in config.sources.values():
        if source.reply == "status" and settings.signing_key is None:
            what = '"status" needs HOOKMILL_SIGNING_KEY, which is not set'
            raise ConfigError(f"{config.path}: sources.{source.name}.reply: {what}")


@asynccontextmanager
async def lifespan(
    _: Starlette,
    *,
    present: Present,
    settings: Settings,
    ledger_factory: LedgerFactory,
    figures: Figures | None,
    on_close: Callable[[], None],
    clock: Clock,
) -> AsyncIterator[State]:
    """Open the ledger and what works on it, and close them again."""
    ledger = await ledger_factory()
    key = settings.signing_key.reveal().encode() if settings.signing_key else None
    gate = Gate(
        present=present,
        ledger=ledger,
        admitter=Admitter(ledger),
        access=Access(ledger, key=key),
        addresses=Addresses(),
        streams=Streams(ledger),
        room=Room(),
        clock=clock,
    )
    present.on_stop.append(gate.streams.leave)
    try:
        async with pushing(ledger, figures):
            yield {"gate": gate}
    finally:
        await gate.streams.close()
        await gate.admitter.close()
        await ledger.close()
        await asyncio.to_thread(on_close)
