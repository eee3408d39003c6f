"""Sinks: where finished results go. `open_sinks` makes them from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.sinks.file import FileSink
from actors.sinks.outgoing import OpenSink, Outgoing, Receipt, Refusal
from actors.sinks.schedule import next_delay
from actors.sinks.webhook import WebhookSink
from gateway.config import ChatRules, ConfigError, FileRules, ObjectRules, SqlRules, WebhookRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config import Config, Sink

__all__ = ["FileSink", "OpenSink", "Outgoing", "Receipt", "Refusal", "WebhookSink", "next_delay", "open_sinks"]


def open_sinks(config: Config) -> Mapping[str, OpenSink]:
    """Make every configured sink, by name; it connects when first used. Raises ConfigError where one cannot work."""
    return {name: _open(sink, file=str(config.path)) for name, sink in config.sinks.items()}


def _open(sink: Sink, *, file: str) -> OpenSink:
    try:
        return _made(sink)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{file}: sinks.{sink.name}: kind {sink.kind!r} needs {error.name}: pip install 'hookmill[{sink.kind}]'"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{file}: sinks.{sink.name}: {error}") from None


def _made(sink: Sink) -> OpenSink:
    match sink:
        case FileRules():
            return FileSink(name=sink.name, path=sink.path, timeout=sink.timeout, rotation=sink.rotate)
        case WebhookRules():
            return _webhook(sink)
        case ObjectRules():
            return _object(sink)
        case SqlRules():
            return _sql(sink)
        case ChatRules():
            return _chat(sink)
        case _:
            raise ValueError(f"no sink is of kind {sink.kind!r}")


def _webhook(sink: WebhookRules) -> WebhookSink:
    return WebhookSink(
        name=sink.name,
        url=sink.url,
        secrets=[secret.reveal() for secret in sink.secrets],
        header=(sink.header[0], sink.header[1].reveal()) if sink.header else None,
        jwt=sink.jwt.reveal() if sink.jwt else None,
        allow_private=sink.allow_private,
        timeout=sink.timeout,
        concurrency=sink.concurrency,
    )


def _object(sink: ObjectRules) -> OpenSink:
    from actors.sinks.object import ObjectSink  # noqa: PLC0415 - heavy, and only there with an extra

    return ObjectSink(
        name=sink.name,
        url=sink.url,
        key=sink.key,
        options=sink.options,
        timeout=sink.timeout,
        concurrency=sink.concurrency,
    )


def _sql(sink: SqlRules) -> OpenSink:
    from actors.sinks.sql import SqlSink  # noqa: PLC0415 - as above

    return SqlSink(
        name=sink.name, url=sink.url.reveal(), table=sink.table, timeout=sink.timeout, concurrency=sink.concurrency
    )


def _chat(sink: ChatRules) -> OpenSink:
    from actors.sinks.chat import ChatSink  # noqa: PLC0415 - as above

    return ChatSink(
        name=sink.name,
        url=sink.url.reveal(),
        text=sink.text,
        title=sink.title,
        max_length=sink.max_length,
        timeout=sink.timeout,
    )
