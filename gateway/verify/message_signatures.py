"""HTTP Message Signatures (RFC 9421): the signature base of a request, from the components that its signer chose.

Strict where the RFC leaves a choice: the first signature that covers `content-digest` is judged, it has to tell when it
was created, and components with parameters ("@query-param";name="x", ;sf, ;bs, ;req) are not taken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import SignatureInvalid, SignatureMalformed, SignatureMissing
from gateway.verify.parse import Claim, pick

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.verify.request import Request
    from gateway.verify.scheme import Scheme

LABEL = r"([a-z*][a-z0-9_.*-]{0,63})="
VALUE = r'(?:[0-9]{1,15}|"[ !#-\[\]-~]{0,256}")'
PARAMS = rf"((?:;[a-z][a-z0-9_-]{{0,31}}={VALUE}){{0,8}})"
COMPONENT = r'"@?[a-z0-9!#$%&\'*+.^_`|~-]{1,64}"'
INPUT = re.compile(LABEL + rf"(\(({COMPONENT}(?: {COMPONENT}){{0,31}})?\){PARAMS})")
BYTES = re.compile(LABEL + r"(:[A-Za-z0-9+/]{0,1024}={0,2}:)")
DIGEST = re.compile(LABEL + r"(:[A-Za-z0-9+/]{0,128}={0,2}:)")
COMMA = re.compile(r" *, *")
MOST_LABELS = 4
ALGORITHMS = {'"hmac-sha256"', '"ed25519"'}
DIGESTS = {"sha-256": "sha256", "sha-512": "sha512"}  # the others of RFC 9530 are broken, or not for this
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One member of Signature-Input: its label, its text, its components and its parameters as they are written."""

    label: str
    text: str = field(repr=False)
    components: tuple[str, ...]
    params: Mapping[str, str] = field(repr=False)


def read_message(scheme: Scheme, request: Request, prefixes: frozenset[str]) -> Claim:
    """Read the claim of an RFC 9421 request; its one derived field, `components`, is the signature base."""
    found = pick(request.headers, scheme.deciding | {b"content-digest"})
    signatures = dict(_members(BYTES, found.get(b"signature", b"")))
    signer = _signer(scheme, found.get(b"signature-input", b""))
    if "created" not in signer.params or signer.label not in signatures:
        raise SignatureMalformed
    if signer.params.get("alg", '"hmac-sha256"') not in ALGORITHMS:
        raise SignatureMalformed
    if "content-digest" in signer.components:
        _check_digest(found.get(b"content-digest", b""), request.body)
    fields = {
        "components": _base(signer.components, signer.text, request),
        "timestamp": signer.params["created"].encode(),
        "body": request.body,
    }
    if "expires" in signer.params:
        fields["expires"] = signer.params["expires"].encode()
    text = signatures[signer.label][1:-1].encode()  # without its colons
    return Claim(signatures=tuple((prefix, text) for prefix in prefixes), fields=fields, headers=found)


def write_message(request: Request, *, created: str) -> tuple[list[tuple[str, str]], bytes]:
    """Give the headers, but for `Signature`, of a request that is to be signed as `sig`, and its signature base."""
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(request.body).digest()).decode() + ":"
    components = ("@method", "@target-uri", "content-digest")
    text = "(" + " ".join(f'"{name}"' for name in components) + f");created={created}"
    headers = [("Content-Digest", digest), ("Signature-Input", f"sig={text}")]
    return headers, _base(components, text, request, **{"content-digest": digest})


def _members(form: re.Pattern[str], raw: bytes) -> list[tuple[str, str]]:
    """Read a dictionary of structured fields, RFC 9651, as far as this RFC needs it."""
    if not raw.strip():
        raise SignatureMissing
    if not raw.isascii():
        raise SignatureInvalid
    text, place = raw.decode("ascii").strip(" "), 0
    found: dict[str, str] = {}
    while member := form.match(text, place):
        if member[1] in found or len(found) == MOST_LABELS:
            raise SignatureMalformed
        found[member[1]] = member[2]
        place = member.end()
        if place == len(text):
            return list(found.items())
        if (comma := COMMA.match(text, place)) is None:
            break
        place = comma.end()
    raise SignatureMalformed


def _signer(scheme: Scheme, raw: bytes) -> Signer:
    for label, text in _members(INPUT, raw):
        inner, _, rest = text.partition(")")
        components = tuple(re.findall(r'"([^"]+)"', inner))
        if len(set(components)) < len(components):
            raise SignatureMalformed
        if "content-digest" in components or scheme.unsigned_body:
            params = dict(re.findall(rf";([a-z][a-z0-9_-]*)=({VALUE})", rest))
            return Signer(label=label, text=text, components=components, params=params)
    raise SignatureMalformed("No signature covers content-digest, so the body would not be signed.")


def _check_digest(raw: bytes, body: bytes) -> None:
    """Check Content-Digest (RFC 9530): every digest that we know has to be right, and one has to be there."""
    known = [(DIGESTS[name], text) for name, text in _members(DIGEST, raw) if name in DIGESTS]
    if not known:
        raise SignatureMalformed("Content-Digest has neither sha-256 nor sha-512.")
    for digest, text in known:
        ours = b":" + base64.b64encode(hashlib.new(digest, body).digest()) + b":"
        if not hmac.compare_digest(ours, text.encode()):
            raise SignatureInvalid


def _base(components: Sequence[str], params: str, request: Request, **written: str) -> bytes:
    """Make the signature base: https://www.rfc-editor.org/rfc/rfc9421#section-2.5."""
    values = ((name, written.get(name) or _component(name, request)) for name in components)
    lines = [f'"{name}": {value}' for name, value in values]
    return "\n".join([*lines, f'"@signature-params": {params}']).encode("latin-1", "replace")


def _component(name: str, request: Request) -> str:
    if not name.startswith("@"):
        if not (lines := request.values(name)):
            raise SignatureMalformed(f"The header {name} is signed, but missing.")
        return ", ".join(line.decode("latin-1").strip() for line in lines)
    derived = _derived(request)
    if name not in derived:
        raise SignatureMalformed(f"The component {name} is not supported.")
    return derived[name]


def _derived(request: Request) -> Mapping[str, str]:
    """Give the derived components: https://www.rfc-editor.org/rfc/rfc9421#section-2.2."""
    parts = urlsplit(request.url)
    port = "" if parts.port in {None, DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return {
        "@method": request.method.upper(),
        "@target-uri": request.url,
        "@authority": (parts.hostname or "") + port,
        "@scheme": parts.scheme,
        "@path": parts.path or "/",
        "@query": "?" + parts.query,
    }
