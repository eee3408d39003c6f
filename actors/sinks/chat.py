"""Tells a conversation of each result: Slack, Mattermost, Discord, Telegram, e-mail and what else Apprise knows."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import apprise

from actors.sinks.outgoing import Receipt
from actors.sinks.threads import ThreadedSink

if TYPE_CHECKING:
    from datetime import timedelta

    from actors.sinks.outgoing import Outgoing

FIELD = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_-]+)*)\}")
CUT = "…"
# Results hold strangers' words: they may neither call everybody, nor make links, nor hide anything.
LOOK_ALIKE = {"<": "\u2039", ">": "\u203a", "@": "@\u200b", "`": "'", "[": "(", "]": ")"}
TAMED = str.maketrans(LOOK_ALIKE)
INVISIBLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

logging.getLogger("apprise").disabled = True  # what it logs holds tokens and texts


class ChatSink(ThreadedSink):
    """Sends a text per delivery, made by a template and cut at `max_length` characters.

    A conversation knows no ids: after a lost reply the same text comes again. Apprise tells only whether it could send,
    so every failure is worth a retry. It resolves and connects by itself and heeds the proxies of the environment: the
    address guard does not reach that far. Redirects are not followed. Raises ValueError for a URL that Apprise does not
    know.
    """

    def __init__(self, *, name: str, url: str, text: str, title: str, max_length: int, timeout: timedelta) -> None:
        """Prepare; nothing is connected before the first delivery."""
        super().__init__(name=name, timeout=timeout, threads=1)  # Apprise keeps a pace by sleeping
        self._text, self._title, self._most = text, title, max_length
        limit = max(1, int(self.seconds))
        mark = "&" if "?" in url else "?"
        room = apprise.Apprise()
        if not room.add(f"{url}{mark}cto={limit}&rto={limit}&redirect=no"):
            raise ValueError("its url is not one of Apprise, https://appriseit.com/services")
        self._room = room

    def deliver(self, outgoing: Outgoing) -> Receipt:
        """Send the text."""
        told = json.loads(outgoing.body())
        body = cut(fill(self._text, told), self._most)
        sent = self._room.notify(
            body=body,
            title=cut(fill(self._title, told), self._most),
            body_format=apprise.NotifyFormat.TEXT,
            interpret_escapes=False,
        )
        if not sent:
            raise self.failure("it could not be sent")
        return Receipt(detail=f"{len(body)} characters sent")


def fill(template: str, told: Any) -> str:
    """Put what was delivered into a template: `{result.summary}` is that field, or nothing where there is none."""
    return FIELD.sub(lambda found: _tamed(_found(told, found[1])), template)


def cut(text: str, most: int) -> str:
    """Cut a text, so that it has that many characters at most."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def _found(told: Any, path: str) -> Any:
    for name in path.split("."):
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _tamed(value: Any) -> str:
    return INVISIBLE.sub("", "" if value is None else str(value)).translate(TAMED)
