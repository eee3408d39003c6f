"""The one verifier: judges a request by its scheme, over its raw bytes, before anything is parsed."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.errors import EventIdInvalid, SignatureInvalid, TimestampMalformed, TimestampOutOfTolerance
from gateway.verify.keys import read_keys
from gateway.verify.parse import Claim, decode, point, read_claim, read_json, signed_parts
from gateway.verify.schemes import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.verify.scheme import Scheme, Unit

CLOCKS = {"s": (re.compile(rb"[0-9]{10}"), 1), "ms": (re.compile(rb"[0-9]{13}"), 1000)}
PRINTABLE_ID = re.compile(r"[ -~]{1,128}")
SIGNED_ID = re.compile(r"[A-Za-z0-9_:@/+=~-]{1,128}")  # inside a signed string: nothing that could be taken for syntax
CHALLENGE = re.compile(r"[ -~]{1,1024}")

# What an unknown source is judged by: a signature that nobody can have made, under a secret that signs nothing.
NOBODY_SECRET = b"whsec_" + b"A" * 32
NOBODY_HEADERS = (
    (b"webhook-id", b"nobody"),
    (b"webhook-timestamp", b"0000000000"),
    (b"webhook-signature", b"v1," + b"A" * 43 + b"="),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """The answer to a handshake: to be sent as it is, and nothing is stored."""

    status: int = 200
    media_type: str = "text/plain"
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A request whose signature, time and id passed.

    `nonce` stays the same however a replay alters the headers; where not `covers_time`, equal bodies share it.
    """

    dedupe_id: str | None
    nonce: str
    covers_time: bool
    challenge: Challenge | None = None


def verify(
    scheme: Scheme,
    secrets: Sequence[bytes],
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    *,
    now: datetime,
    tolerance: timedelta | None = None,
) -> Verified:
    """Judge a request: Verified, or a Rejection whatever the headers and the body are.

    Several secrets are a rotation: any of them will do. Codes that tell of the time or the id are given only after the
    MAC passed. Raises ValueError for secrets that cannot be used (see `read_keys`), which is the caller's fault.
    """
    keys = read_keys(scheme, secrets)
    claim = read_claim(scheme, headers, body)
    expected = [_expected(scheme, key, claim) for key in keys]
    nonce = _nonce(scheme, expected, body)
    if not _any_equal(expected, _presented(scheme, claim)):
        raise SignatureInvalid
    if scheme.timed:
        most = scheme.tolerance if tolerance is None else tolerance
        _check_time(claim.fields["timestamp"], scheme.timestamp_unit, now=now, tolerance=most)
    if scheme.id_header:
        check_signed_id(scheme, claim.fields["id"])
    return _verified(scheme, claim, nonce)


def verify_dummy(body: bytes) -> NoReturn:
    """Reject a request for an unknown source, after the work that a known source's wrong signature costs."""
    verify(STANDARD, (NOBODY_SECRET,), NOBODY_HEADERS, body, now=datetime.fromtimestamp(0, UTC))
    raise SignatureInvalid


def mac(scheme: Scheme, key: bytes, parts: Iterable[bytes]) -> bytes:
    """Compute the HMAC over the parts of the signed string."""
    digest = hmac.new(key, digestmod=scheme.digest)
    for part in parts:
        digest.update(part)
    return digest.digest()


def check_signed_id(scheme: Scheme, raw: bytes) -> str:
    """Return the id of a signed string, or raise EventIdInvalid where it could be mistaken for its neighbours."""
    pieces = scheme.pieces
    place = pieces.index("id")
    # The first literal stands at a known place; what follows the id, or stands between the body and it, ends it.
    fence = pieces[place + 1][:1] + (pieces[place - 1][-1:] if place > 1 else "")
    text = check_id(raw.decode("latin-1"), form=SIGNED_ID)
    if any(character in text for character in fence):
        raise EventIdInvalid
    return text


def check_id(text: str, *, form: re.Pattern[str] = PRINTABLE_ID) -> str:
    """Return an id as it is, or raise EventIdInvalid: 1 to 128 characters of printable ASCII."""
    if not form.fullmatch(text):
        raise EventIdInvalid
    return text


def _expected(scheme: Scheme, key: bytes, claim: Claim) -> bytes:
    if scheme.proof == "token":
        return sha256(key).digest()  # hashed, so that the comparison does not tell its length
    return mac(scheme, key, signed_parts(scheme, claim.fields))


def _presented(scheme: Scheme, claim: Claim) -> list[bytes]:
    if scheme.proof == "token":
        return [sha256(token).digest() for token in claim.signatures]
    return [decode(text, scheme.encoding) for text in claim.signatures]


def _any_equal(expected: Sequence[bytes], presented: Sequence[bytes]) -> bool:
    """Compare all with all, so that the time does not tell which secret or which signature it was."""
    return sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in presented) > 0


def _nonce(scheme: Scheme, expected: Sequence[bytes], body: bytes) -> str:
    # Always under the first secret: of a request signed twice, a replay could carry only the other signature.
    return sha256(body if scheme.proof == "token" else expected[0]).hexdigest()


def _check_time(raw: bytes, unit: Unit, *, now: datetime, tolerance: timedelta) -> None:
    form, per_second = CLOCKS[unit]
    if not form.fullmatch(raw):
        raise TimestampMalformed
    if abs(now.timestamp() - int(raw) / per_second) > tolerance.total_seconds():
        raise TimestampOutOfTolerance


def _verified(scheme: Scheme, claim: Claim, nonce: str) -> Verified:
    by_pointer = scheme.dedupe is not None and scheme.dedupe.startswith("json:")
    document = read_json(claim.fields["body"]) if by_pointer or scheme.handshake else None
    if challenge := _challenge(scheme, document):
        return Verified(dedupe_id=None, nonce=nonce, covers_time=scheme.covers_time, challenge=challenge)
    dedupe_id = _dedupe_id(scheme, claim, document)
    return Verified(dedupe_id=dedupe_id, nonce=nonce, covers_time=scheme.covers_time)


def _challenge(scheme: Scheme, document: Any) -> Challenge | None:
    rule = scheme.handshake
    if rule is None or point(document, rule.pointer) != rule.equals:
        return None
    answer = point(document, rule.answer)
    if not isinstance(answer, str) or not CHALLENGE.fullmatch(answer):
        return None
    return Challenge(body=answer.encode())


def _dedupe_id(scheme: Scheme, claim: Claim, document: Any) -> str | None:
    kind, _, place = (scheme.dedupe or "").partition(":")
    if kind == "header":
        raw = claim.headers.get(place.lower().encode())
        return None if raw is None else check_id(raw.decode("latin-1"))
    value = point(document, place) if kind == "json" else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return None
    return check_id(value if isinstance(value, str) else "")
