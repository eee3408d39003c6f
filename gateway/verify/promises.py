"""What each scheme promises, and what it does not: derived from its row, for `hookmill schemes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.verify.scheme import Scheme

PROOFS = {"token": "secret sent as it is", "ed25519": "ed25519", "ecdsa": "ECDSA P-256, SHA-256"}
NAMES = {"twilio_params": "form", "components": "what the signer chose, the body among it"}


def proof(scheme: Scheme) -> str:
    """Name what proves a request."""
    digest = scheme.digest.upper().replace("SHA", "SHA-")
    keyed = f"HMAC-{digest}" if scheme.proof == "hmac" else f"{digest} of secret and message"
    named = PROOFS.get(scheme.proof, keyed)
    return f"{named}, or ed25519" if scheme.public_prefix or scheme.key == "pem" else named


def protects(scheme: Scheme) -> str:
    """Say what a forger cannot change, in words."""
    if scheme.proof == "token":
        return "nothing: whoever has the token can send anything"
    inside = ["timestamp"] if scheme.timed and "timestamp" not in scheme.fields else []
    covered = list(dict.fromkeys([*inside, *("url" if "ur" in name else name for name in scheme.pieces[1::2])]))
    covered = [NAMES.get(name, name) for name in covered]
    return ", ".join(covered[:-1]) + " and " + covered[-1] if len(covered) > 1 else covered[0]


def exposes(scheme: Scheme) -> tuple[str, ...]:
    """List what a forger, an eavesdropper or a replayer can still do, one line each."""
    return tuple(_exposed(scheme))


def _exposed(scheme: Scheme) -> Iterator[str]:
    if scheme.proof == "token":
        yield "the secret travels with every request, and proves nothing about its content"
    elif not scheme.covers_body:
        yield "the body is not signed: who sees one request can send another body under its signature, once"
    if not scheme.covers_time:
        yield "no time and no id is signed: a replay is known by its equal body or its id, not by its age"
    if (name := _unsigned_id(scheme)) and scheme.proof != "token":
        yield f"the id ({name}) is not signed: a replay may carry another one"
    if scheme.dedupe is None:
        yield "there is no id: a provider's own retry that is signed anew counts as another event"
    if scheme.digest == "sha1":
        yield "SHA-1, as the provider defines it"
    if scheme.proof == "hash":
        yield "a plain hash can be extended: bytes may be appended, which strict JSON refuses"
    if scheme.caveat:
        yield scheme.caveat


def _unsigned_id(scheme: Scheme) -> str:
    kind, name = scheme.dedupe_place
    return name if kind == "header" and name.lower() != scheme.id_header.lower() else ""
