"""A scheme: how a provider signs, as data. The table is `schemes.py`, the one verifier `verifier.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, cast

from gateway.verify import rules

if TYPE_CHECKING:
    from collections.abc import Sequence

Proof = Literal["hmac", "token"]
Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]
Key = Literal["raw", "hex", "base64", "whsec"]
Unit = Literal["s", "ms"]

KIB = 1024
FIELD = re.compile(r"\{(id|timestamp|body)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A signed request that only asks whether we are there: where `pointer` has `equals`, echo what `answer` has."""

    pointer: str
    equals: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How one provider signs. A contradiction raises ValueError: one line that begins with the field at fault."""

    name: str
    docs: str  # the provider's page that this row was written from
    header: str  # carries the signature; header names are compared without regard to case
    prefix: str = ""  # stands before each signature: "sha256=", "v1,"
    separator: str = ""  # between the items of a list; items without the prefix are no signatures of ours; "" = no list
    proof: Proof = "hmac"  # "token": the header carries the secret itself, nothing is signed
    signed: str = "{body}"  # what the MAC is over; fields {id}, {timestamp}, {body}, each as raw bytes
    digest: Digest = "sha256"
    encoding: Encoding = "hex"
    key: Key = "raw"  # how a secret becomes the key; "whsec": base64 after an optional "whsec_"
    timestamp_header: str = ""
    timestamp_item: str = ""  # instead of a header: the prefix of the list item that carries the time ("t=")
    timestamp_unit: Unit = "s"
    tolerance: timedelta = timedelta(minutes=5)  # on both sides of the gateway's clock
    id_header: str = ""  # fills {id}
    dedupe: str | None = None  # "header:X-Id", or "json:/pointer" into the signed body
    handshake: Handshake | None = None
    max_body: int = 256 * KIB  # bytes
    media: tuple[str, ...] = ("application/json",)

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, so that no such scheme can exist."""
        rules.check_choices(self, digest=Digest, encoding=Encoding, key=Key, proof=Proof, timestamp_unit=Unit)
        rules.check_names(self)
        rules.check_signed(self)
        rules.check_clock(self)
        rules.check_dedupe(self.dedupe)

    @property
    def pieces(self) -> Sequence[str]:
        """The signed string, cut at its fields: literals at even places, the fields' names at odd ones."""
        return FIELD.split(self.signed)

    @property
    def timed(self) -> bool:
        """Whether a request carries a time that the MAC covers."""
        return "{timestamp}" in self.signed

    @property
    def covers_time(self) -> bool:
        """Whether the MAC covers a time or an id, so that two events never share a MAC."""
        return self.timed or "{id}" in self.signed

    @property
    def protects(self) -> str:
        """What a forger cannot change, in words."""
        if self.proof == "token":
            return "nothing: whoever has the token can send anything"
        covered = self.pieces[1::2]
        return ", ".join(covered[:-1]) + " and " + covered[-1] if len(covered) > 1 else covered[0]

    @property
    def deciding(self) -> frozenset[bytes]:
        """The headers, in lower case, that decide about the signature or the id: each at most once in a request."""
        dedupe = self.dedupe.removeprefix("header:") if self.dedupe and self.dedupe.startswith("header:") else ""
        names = (self.header, self.timestamp_header, self.id_header, dedupe)
        return frozenset(name.lower().encode() for name in names if name)


def template(  # the keys of [sources.x.scheme], one to one
    *,
    header: str,
    prefix: str = "",
    separator: str = "",
    signed: str = "{body}",
    digest: str = "sha256",
    encoding: str = "hex",
    key: str = "raw",
    timestamp_header: str = "",
    timestamp_item: str = "",
    timestamp_unit: str = "s",
    event_id: str | None = None,
    tolerance: timedelta = timedelta(minutes=5),
) -> Scheme:
    """Make the scheme of an inline `[sources.x.scheme]`; ValueError's one line begins with the key at fault.

    `event_id` is "header:X-Id" or "json:/pointer"; where `signed` has {id}, it has to be a header.
    """
    rules.check_event_id(event_id, signed=signed)
    return Scheme(
        name="template",
        docs="",
        header=header,
        prefix=prefix,
        separator=separator,
        signed=signed,
        digest=cast("Digest", digest),
        encoding=cast("Encoding", encoding),
        key=cast("Key", key),
        timestamp_header=timestamp_header,
        timestamp_item=timestamp_item,
        timestamp_unit=cast("Unit", timestamp_unit),
        tolerance=tolerance,
        id_header=event_id.removeprefix("header:") if event_id and "{id}" in signed else "",
        dedupe=event_id,
    )
