"""Handshakes as a target: whatever a provider asks before it sends events, the answer is harmless."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from fuzz.choices import altered
from fuzz.senders import ALL, METHODS, NOW, WORDS, secret_of

from gateway.verify import handshake

if TYPE_CHECKING:
    from fuzz.choices import Choices

    from gateway.verify import Challenge, Scheme

MEDIA = {"text/plain", "application/json"}
TOKEN = b"verify-me"


def judge(choices: Choices) -> None:
    """Ask a question that nobody signs: answered with a Challenge, or None."""
    scheme = choices.pick([scheme for scheme in ALL if scheme.handshake])
    query = b"&".join(made_pair(choices, scheme) for _ in range(choices.number(3)))
    headers = [(made_name(choices, scheme, "header"), choices.blob(40)) for _ in range(choices.number(2))]
    token = choices.pick((TOKEN, None, b""))
    challenge = handshake(
        scheme,
        (secret_of(scheme, "ours"),),
        method=choices.pick(METHODS),
        query=altered(query, choices, WORDS).decode("latin-1"),
        headers=headers,
        now=NOW,
        verify_token=token,
    )
    if challenge is not None:
        assert not scheme.handshake.signed
        assert token or not scheme.handshake.verify_token
        check_challenge(challenge)


def made_name(choices: Choices, scheme: Scheme, kind: str) -> bytes:
    """Choose a name that the handshake looks for, or another one."""
    names = [place.partition(":")[2].encode() for place in scheme.handshake.places if place.startswith(kind)]
    return choices.pick([*names, b"x-other"])


def made_pair(choices: Choices, scheme: Scheme) -> bytes:
    value = choices.pick((b"subscribe", TOKEN, b"c1", b"%22%0d%0a", b'{"id":1}', b"12", b"null", None))
    return made_name(choices, scheme, "query") + b"=" + (choices.blob(20) if value is None else value)


def check_challenge(challenge: Challenge) -> None:
    """An answer is small, of a harmless type, and has no line ends in its headers."""
    assert challenge.status == 200
    assert challenge.media_type in MEDIA
    assert len(challenge.body) <= 8192
    assert all(re.fullmatch("[ -~]*", text) for pair in challenge.headers for text in pair)
    assert ("X-Content-Type-Options", "nosniff") in challenge.headers
    if challenge.media_type == "application/json":
        assert isinstance(json.loads(challenge.body), dict)
