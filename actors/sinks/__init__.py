"""Sinks: where finished results go. `open_sinks` makes them from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.sinks.file import FileSink
from actors.sinks.outgoing import OpenSink, Outgoing, Receipt
from actors.sinks.schedule import next_delay
from actors.sinks.webhook import WebhookSink
from gateway.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config import Config, Sink

__all__ = ["FileSink", "OpenSink", "Outgoing", "Receipt", "WebhookSink", "next_delay", "open_sinks"]


def open_sinks(config: Config) -> Mapping[str, OpenSink]:
    """Make every configured sink, by name; it connects when first used. Raises ConfigError where one cannot work."""
    return {name: _open(sink, file=str(config.path)) for name, sink in config.sinks.items()}


def _open(sink: Sink, *, file: str) -> OpenSink:
    try:
        return _file(sink) if sink.kind == "file" else _webhook(sink)
    except ValueError as error:
        raise ConfigError(f"{file}: sinks.{sink.name}: {error}") from None


def _file(sink: Sink) -> FileSink:
    if sink.path is None:
        raise ValueError("a file sink needs a path")
    return FileSink(name=sink.name, path=sink.path, timeout=sink.timeout)


def _webhook(sink: Sink) -> WebhookSink:
    if sink.url is None:
        raise ValueError("a webhook sink needs a url")
    return WebhookSink(
        name=sink.name,
        url=sink.url,
        secrets=[secret.reveal() for secret in sink.secrets],
        header=(sink.header[0], sink.header[1].reveal()) if sink.header else None,
        allow_private=sink.allow_private,
        timeout=sink.timeout,
        concurrency=sink.concurrency,
    )
