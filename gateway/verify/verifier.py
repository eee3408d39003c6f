"""The one verifier: judges a request by its scheme, over its raw bytes, before anything is parsed."""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime, timedelta
from hashlib import new as new_hash
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.errors import EventIdInvalid, SignatureInvalid, SignatureMalformed
from gateway.frozen import frozen
from gateway.verify.clock import check_expiry, check_time
from gateway.verify.handshake import Asked, Challenge, answer
from gateway.verify.keys import Dated, Key, read_keys
from gateway.verify.parse import Claim, decode, header_name, pointed_time, read_claim, signed_bytes
from gateway.verify.pointer import point, read_json
from gateway.verify.public_keys import verify_ecdsa, verify_ed25519
from gateway.verify.request import Request
from gateway.verify.schemes import STANDARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.verify.scheme import Scheme

MOST_PUBLIC = 4  # signatures tried under a public key, each of which costs what a hundred MACs cost
PRINTABLE_ID = re.compile(r"[ -~]{1,128}")
SIGNED_ID = re.compile(r"[A-Za-z0-9_:@/+=~-]{1,128}")  # inside a signed string: nothing that could be taken for syntax

# What an unknown source is judged by: a signature that nobody can have made, under a secret that signs nothing.
NOBODY_KEYS = tuple(read_keys(STANDARD, (b"whsec_" + b"A" * 32,)))
NOBODY_HEADERS = (
    (b"webhook-id", b"nobody"),
    (b"webhook-timestamp", b"0000000000"),
    (b"webhook-signature", b"v1," + b"A" * 43 + b"="),
)


@frozen
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
    secrets: Sequence[bytes | Dated | Key],
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    *,
    now: datetime,
    tolerance: timedelta | None = None,
    url: str = "",
    method: str = "POST",
) -> Verified:
    """Judge a request: Verified, or a Rejection whatever the headers and the body are.

    Several secrets are a rotation: any of them will do, up to its end. `url` is what `request_url` gives, for schemes
    that sign it. Codes that tell of the time or the id are given only after the signature passed. Raises ValueError for
    secrets that cannot be used (see `read_keys`), which is the caller's fault.
    """
    keys = read_keys(scheme, secrets)
    request = Request(headers=headers, body=body, url=url, method=method)
    claim = (scheme.read or read_claim)(scheme, request, frozenset(key.prefix for key in keys))
    strings = [signed_bytes(layout, claim.fields) for layout in scheme.layouts]
    proven, nonce = False, ""
    for key in keys:
        ours = [digest(scheme, key, signed) for signed in strings]
        # Always under the first secret: of a request signed twice, a replay could carry only the other signature.
        nonce = nonce or sha256(body if scheme.proof == "token" else ours[0]).hexdigest()
        proven |= _proves(scheme, key, claim, strings, ours) and key.valid(now)
    if not proven:
        raise SignatureInvalid
    most = scheme.tolerance if tolerance is None else tolerance
    return _verified(scheme, claim, keys, nonce=nonce, now=now, tolerance=most)


def verify_dummy(body: bytes) -> NoReturn:
    """Reject a request for an unknown source, after the work that a known source's wrong signature costs.

    That work is one HMAC-SHA256 over the body: the same within microseconds for one shared secret, whatever its digest.
    A wrong signature under a public key costs 0.1 to 0.2 ms more, and so does a form of 50 KiB under Twilio's scheme.
    """
    verify(STANDARD, NOBODY_KEYS, NOBODY_HEADERS, body, now=datetime.fromtimestamp(0, UTC))
    raise SignatureInvalid


def digest(scheme: Scheme, key: Key, signed: bytes) -> bytes:
    """Compute what a shared secret proves with; under a public key, only a hash of what is signed."""
    match key.proof:
        case "hmac":
            return hmac.digest(key.value, signed, scheme.digest)
        case "token":
            return sha256(key.value).digest()  # hashed, so that the comparison does not tell its length
        case "hash":
            state = new_hash(scheme.digest, key.value)
            state.update(signed)
            return state.digest()
        case "ed25519" | "ecdsa":
            return sha256(signed).digest()


def check_signed_id(scheme: Scheme, raw: bytes) -> str:
    """Return the id of a signed string, or raise EventIdInvalid where it could be mistaken for its neighbours."""
    text = check_id(raw.decode("latin-1"), form=SIGNED_ID)
    for character in scheme.fence:
        if character in text:
            raise EventIdInvalid
    return text


def check_id(text: str, *, form: re.Pattern[str] = PRINTABLE_ID) -> str:
    """Return an id as it is, or raise EventIdInvalid: 1 to 128 characters of printable ASCII."""
    if not form.fullmatch(text):
        raise EventIdInvalid
    return text


def _proves(scheme: Scheme, key: Key, claim: Claim, strings: Sequence[bytes], ours: Sequence[bytes]) -> bool:
    """Compare all with all, so that the time does not tell which signature it was."""
    texts = [text for prefix, text in claim.signatures if prefix == key.prefix]
    if key.proof == "token":
        return _any_equal(ours, [sha256(text).digest() for text in texts])
    presented = [decode(text, scheme.encoding) for text in texts]
    if not key.public:
        return _any_equal(ours, presented)
    if len(presented) > MOST_PUBLIC:
        raise SignatureMalformed
    check = verify_ed25519 if key.proof == "ed25519" else verify_ecdsa
    return sum(check(key.value, signature, signed) for signature in presented for signed in strings) > 0


def _any_equal(expected: Sequence[bytes], presented: Sequence[bytes]) -> bool:
    found = False
    for ours in expected:
        for theirs in presented:
            found |= hmac.compare_digest(ours, theirs)
    return found


def _verified(
    scheme: Scheme, claim: Claim, keys: Sequence[Key], *, nonce: str, now: datetime, tolerance: timedelta
) -> Verified:
    looks_inside = scheme.dedupe_place[0] == "json" or scheme.handshake or scheme.timestamp_pointer
    document = read_json(claim.fields["body"]) if looks_inside else None
    _check_clock(scheme, claim, document, now=now, tolerance=tolerance)
    if "id" in scheme.fields:
        check_signed_id(scheme, claim.fields["id"])
    if challenge := _challenge(scheme, document, keys, now=now):
        return Verified(dedupe_id=None, nonce=nonce, covers_time=scheme.covers_time, challenge=challenge)
    dedupe_id = _dedupe_id(scheme, claim, document)
    return Verified(dedupe_id=dedupe_id, nonce=nonce, covers_time=scheme.covers_time)


def _check_clock(scheme: Scheme, claim: Claim, document: Any, *, now: datetime, tolerance: timedelta) -> None:
    if not scheme.timed:
        return
    raw = claim.fields.get("timestamp")
    check_time(
        pointed_time(scheme, document) if raw is None else raw, scheme.timestamp_unit, now=now, tolerance=tolerance
    )
    if "expires" in claim.fields:
        check_expiry(claim.fields["expires"], now=now)


def _challenge(scheme: Scheme, document: Any, keys: Sequence[Key], *, now: datetime) -> Challenge | None:
    if scheme.handshake is None or not scheme.handshake.signed:
        return None
    return answer(scheme.handshake, Asked(document=document), next((key for key in keys if key.valid(now)), None))


def _dedupe_id(scheme: Scheme, claim: Claim, document: Any) -> str | None:
    kind, place = scheme.dedupe_place
    if kind == "header":
        raw = claim.headers.get(header_name(place))
        return None if raw is None else check_id(raw.decode("latin-1"))
    value = point(document, place) if kind == "json" else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return None
    return check_id(value if isinstance(value, str) else "")
