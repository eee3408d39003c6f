"""Handshakes: a provider asks whether we are there, gets its answer, and nothing is stored."""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gateway.verify.keys import Dated, Key, read_keys
from gateway.verify.pointer import point, point_text, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.verify.scheme import Handshake, Scheme

TEXT = re.compile(r"[ -~]{1,1024}")
WORD = re.compile(r"[A-Za-z0-9_+/=-]{1,128}")
HOLE = re.compile(r"\{(challenge|mac)\}")
MOST_PARAMS = 50
NOSNIFF = (("X-Content-Type-Options", "nosniff"),)  # what is echoed is never to be taken for a page


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The answer to a handshake: to be sent as it is, and nothing is stored."""

    status: int = 200
    media_type: str = "text/plain"
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=NOSNIFF, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where a handshake's texts are looked for."""

    query: str = field(default="", repr=False)
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    document: Any = field(default=None, repr=False)


def handshake(
    scheme: Scheme,
    secrets: Sequence[bytes | Dated | Key],
    *,
    method: str,
    query: str,
    headers: Sequence[tuple[bytes, bytes]],
    now: datetime,
    verify_token: bytes | None = None,
) -> Challenge | None:
    """Answer a question that nobody signs, by GET or POST; None where the request is no such question.

    `query` is the raw query string. Signed questions are answered by `verify`. Raises nothing, but ValueError for
    secrets that cannot be used (see `read_keys`), which is the caller's fault.
    """
    rule = scheme.handshake
    if rule is None or rule.signed or method.upper() != rule.method:
        return None
    asked = Asked(query=query, headers=headers)
    if rule.verify_token and not _token_matches(_find(rule.verify_token, asked), verify_token):
        return None
    keys = read_keys(scheme, secrets) if rule.needs_key else ()
    return answer(rule, asked, next((key for key in keys if key.valid(now)), None))


def answer(rule: Handshake, asked: Asked, key: Key | None) -> Challenge | None:
    """Answer a question whose right to be answered is settled; None where it is none."""
    if any(_find(place, asked, numbers=True) != text for place, text in rule.when):
        return None
    text = _find(rule.challenge, asked) or ""
    if rule.challenge and not (_is_word(text) if rule.word else TEXT.fullmatch(text)):
        return None
    if rule.needs_key and key is None:
        return None
    if rule.header:
        return Challenge(body=b"", headers=(*NOSNIFF, (rule.header, text)))
    return _written(rule, text, mac=_mac(rule, key, text) if key else "")


def _is_word(text: str) -> bool:
    """Tell whether it can be no body of an event: neither an object nor, as 123 and null, JSON of another sort."""
    return bool(WORD.fullmatch(text)) and text != "null" and read_json(text.encode()) is None


def _written(rule: Handshake, text: str, *, mac: str) -> Challenge:
    as_json = rule.answer.startswith("{") and not HOLE.match(rule.answer)
    holes = {"challenge": json.dumps(text)[1:-1] if as_json else text, "mac": mac}
    body = HOLE.sub(lambda hole: holes[hole[1]], rule.answer).encode("ascii")
    return Challenge(media_type="application/json" if as_json else "text/plain", body=body)


def _mac(rule: Handshake, key: Key, text: str) -> str:
    mac = hmac.digest(key.value, text.encode(), "sha256")
    return mac.hex() if rule.mac == "hex" else base64.b64encode(mac).decode()


def _find(place: str, asked: Asked, *, numbers: bool = False) -> str | None:
    """Look a place up; None also where it is there twice, which has no one meaning."""
    kind, _, name = place.partition(":")
    if kind == "json":
        text = point_text(asked.document, name)
        return text if numbers or isinstance(point(asked.document, name), str) else None
    if kind == "header":
        values = [value.decode("latin-1") for key, value in asked.headers if key.lower() == name.lower().encode()]
    else:
        values = [value for key, value in _params(asked.query) if key == name]
    return values[0] if len(values) == 1 else None


def _params(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMS)
    except ValueError:
        return []


def _token_matches(given: str | None, wanted: bytes | None) -> bool:
    if given is None or not wanted:
        return False
    # Hashed, so that the comparison does not tell its length.
    return hmac.compare_digest(sha256(given.encode()).digest(), sha256(wanted).digest())
