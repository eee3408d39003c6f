"""A scheme: how a provider signs, as data. The table is `schemes.py`, the one verifier `verifier.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, cast

from gateway.verify import rules
from gateway.verify.derived import DERIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.verify.parse import Claim
    from gateway.verify.request import Request

Proof = Literal["hmac", "hash", "token", "ed25519", "ecdsa"]
Digest = Literal["sha1", "sha256", "sha512"]
Encoding = Literal["hex", "base64"]
KeyForm = Literal["raw", "hex", "base64", "whsec", "spki", "pem"]
Unit = Literal["s", "ms", "iso"]
Method = Literal["GET", "POST"]

KIB = 1024
FIELDS = ("id", "timestamp", "body", "components", *DERIVED)
FIELD = re.compile(r"\{(" + "|".join(FIELDS) + r")\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A request that only asks whether we are there, and how it is answered.

    A place is "json:/pointer" into the signed body, or "query:name" or "header:Name" of a request that nobody signed.
    """

    when: tuple[tuple[str, str], ...] = ()  # places and the texts they must have
    challenge: str = ""  # the place of the text to answer with; "" = there is none
    word: bool = False  # the challenge may only be a word of base64's letters that is not JSON
    verify_token: str = ""  # the place that must have the source's verify token
    answer: str = "{challenge}"  # {mac} is the challenge's HMAC under the first secret; JSON where it starts with "{"
    mac: Encoding = "hex"
    header: str = ""  # answers in this header instead
    method: Method = "POST"

    def __post_init__(self) -> None:
        """Refuse a place that is none of the three."""
        for place in self.places:
            if not place.startswith(("json:/", "query:", "header:")):
                raise ValueError(f"handshake: expected json:/pointer, query:name or header:Name, got {place!r}")

    @property
    def places(self) -> Sequence[str]:
        """The places that are looked at."""
        return [*(place for place, _ in self.when), *filter(None, (self.challenge, self.verify_token))]

    @property
    def signed(self) -> bool:
        """Whether the question is a signed request, which is answered only once it is verified."""
        return all(place.startswith("json:") for place in self.places)

    @property
    def needs_key(self) -> bool:
        """Whether the answer proves that we have the secret."""
        return "{mac}" in self.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How one provider signs. A contradiction raises ValueError: one line that begins with the field at fault."""

    name: str
    docs: str  # the provider's page that this row was written from
    header: str = ""  # carries the signature; header names are compared without regard to case
    spare_header: str = ""  # carries another one, under another key
    pointer: str = ""  # instead of a header: where the signature stands in the body
    prefix: str = ""  # stands before each signature: "sha256=", "v1,"
    public_prefix: str = ""  # stands before those that an ed25519 key (whpk_) proves
    separator: str = ""  # between the items of a list; items without the prefix are no signatures of ours; "" = no list
    proof: Proof = "hmac"  # "hash": digest of key and message; "token": the secret itself is sent, nothing is signed
    signed: str = "{body}"  # what the proof is over: fields in braces, each as raw bytes
    signed_else: tuple[str, ...] = ()  # the same request may also be signed over one of these
    digest: Digest = "sha256"
    encoding: Encoding = "hex"
    key: KeyForm = "raw"  # how a secret becomes the key; "whsec": base64 after an optional "whsec_"; "spki": public key
    timestamp_header: str = ""
    timestamp_item: str = ""  # instead of a header: the prefix of the list item that carries the time ("t=")
    timestamp_pointer: str = ""  # instead of a header: where the time stands in the body
    timestamp_unit: Unit = "s"
    tolerance: timedelta = timedelta(minutes=5)  # on both sides of the gateway's clock
    id_header: str = ""  # fills {id}
    id_pointer: str = ""  # instead of a header: where the id stands in the body
    dedupe: str | None = None  # "header:X-Id", or "json:/pointer" into the signed body
    handshake: Handshake | None = None
    max_body: int = 256 * KIB  # bytes
    media: tuple[str, ...] = ("application/json",)
    unsigned_body: bool = False  # the proof does not cover the body, which the provider has to answer for
    caveat: str = ""  # a weakness that the fields above do not tell
    read: Callable[[Scheme, Request, frozenset[str]], Claim] | None = None  # instead of `parse.read_claim`

    # Told by the fields above; here, so that no request has to work them out again.
    alternatives: Sequence[Sequence[str]] = field(
        init=False, repr=False, compare=False
    )  # what may be signed, as `pieces`
    layouts: Sequence[Sequence[str | bytes]] = field(
        init=False, repr=False, compare=False
    )  # the same, to be put together: fields by their names, literals as bytes
    fields: frozenset[str] = field(init=False, repr=False, compare=False)  # their names, in any of the alternatives
    derived: frozenset[str] = field(init=False, repr=False, compare=False)  # those that are worked out of the request
    carriers: tuple[bytes, ...] = field(init=False, repr=False, compare=False)  # headers that carry signatures
    deciding: frozenset[bytes] = field(init=False, repr=False, compare=False)  # headers that may be there once at most
    dedupe_place: tuple[str, str] = field(init=False, repr=False, compare=False)  # its kind, and where it is
    fence: str = field(init=False, repr=False, compare=False)  # what an id inside the signed string may not contain

    def __post_init__(self) -> None:
        """Refuse what contradicts itself, so that no such scheme can exist."""
        rules.check_choices(self, digest=Digest, encoding=Encoding, key=KeyForm, proof=Proof, timestamp_unit=Unit)
        rules.check_names(self)
        rules.check_dedupe(self.dedupe)
        alternatives = tuple(tuple(FIELD.split(text)) for text in (self.signed, *self.signed_else))
        object.__setattr__(self, "alternatives", alternatives)
        object.__setattr__(self, "layouts", tuple(_layout(pieces) for pieces in alternatives))
        object.__setattr__(self, "fields", frozenset(name for pieces in alternatives for name in pieces[1::2]))
        object.__setattr__(self, "derived", self.fields & DERIVED.keys())
        object.__setattr__(self, "carriers", tuple(_name(one) for one in (self.header, self.spare_header) if one))
        kind, _, place = (self.dedupe or "").partition(":")
        object.__setattr__(self, "dedupe_place", (kind, place))
        object.__setattr__(self, "deciding", self._deciding())
        object.__setattr__(self, "fence", self._fence())
        rules.check_signed(self, known=FIELDS)
        rules.check_clock(self)
        rules.check_proof(self)

    @property
    def pieces(self) -> Sequence[str]:
        """The signed string, cut at its fields: literals at even places, the fields' names at odd ones."""
        return self.alternatives[0]

    @property
    def timed(self) -> bool:
        """Whether a request carries a time that the proof covers."""
        return bool(self.timestamp_header or self.timestamp_item or self.timestamp_pointer)

    @property
    def covers_time(self) -> bool:
        """Whether the proof covers a time or an id, so that two events never share one."""
        return self.timed or "id" in self.fields

    @property
    def covers_body(self) -> bool:
        """Whether the proof covers the body: as it is, as a form's parameters, or by a digest among the components."""
        return bool(self.fields & {"body", "twilio_params", "components"}) and not self.unsigned_body

    @property
    def signs_url(self) -> bool:
        """Whether the URL is signed, so that a source has to say under which one its provider knows it."""
        return bool(self.fields & {"components", *DERIVED} - {"method"})

    def _deciding(self) -> frozenset[bytes]:
        """Give the headers, in lower case, that decide about the signature or the id."""
        kind, place = self.dedupe_place
        names = [self.timestamp_header, self.id_header, *([place] if kind == "header" else [])]
        return frozenset(self.carriers).union(_name(one) for one in names if one)

    def _fence(self) -> str:
        """Give the characters that end an id: what follows it, and what stands between it and a field before it."""
        fence = ""
        for pieces in self.alternatives:
            for at in range(1, len(pieces), 2):
                if pieces[at] == "id":
                    fence += pieces[at + 1][:1] + (pieces[at - 1][-1:] if at > 1 else "")
        return fence


def _name(header: str) -> bytes:
    return header.lower().encode()


def _layout(pieces: Sequence[str]) -> tuple[str | bytes, ...]:
    return tuple(piece if at % 2 else piece.encode() for at, piece in enumerate(pieces) if piece)


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
    rules.check_template(header, signed=signed, event_id=event_id)
    return Scheme(
        name="template",
        docs="",
        header=header,
        prefix=prefix,
        separator=separator,
        signed=signed,
        digest=cast("Digest", digest),
        encoding=cast("Encoding", encoding),
        key=cast("KeyForm", key),
        timestamp_header=timestamp_header,
        timestamp_item=timestamp_item,
        timestamp_unit=cast("Unit", timestamp_unit),
        tolerance=tolerance,
        id_header=event_id.removeprefix("header:") if event_id and "{id}" in signed else "",
        dedupe=event_id,
    )
