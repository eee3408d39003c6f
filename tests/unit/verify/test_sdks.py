"""The providers' own SDKs as a second opinion: what they sign we accept, what we sign they accept.

Of a request that was changed on its way both say the same; where they differ on purpose stands in TestDifferences.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import pytest
import standardwebhooks
import stripe
import svix
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey
from slack_sdk.signature import SignatureVerifier
from twilio.request_validator import RequestValidator

from gateway.errors import Rejection
from gateway.verify import SCHEMES, sign, verify

if TYPE_CHECKING:
    from collections.abc import Callable

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
DISCORD, STRANGER = SigningKey(b"\x03" * 32), SigningKey(b"\x04" * 32)
URL = "https://hooks.example.com/hooks/twilio?a=1"


class Params(dict):
    """A form as web frameworks hand it to Twilio's SDK."""

    def getall(self, name):
        return self[name]


def params_of(body):
    form = Params()
    for name, value in parse_qsl(body.decode(), keep_blank_values=True):
        form.setdefault(name, []).append(value)
    return form


def standard_like(sdk, start):
    def signed(secret, body, now):
        moment = str(int(now.timestamp()))
        signature = sdk(secret).sign("msg_1", now, body.decode())
        return {f"{start}-id": "msg_1", f"{start}-timestamp": moment, f"{start}-signature": signature}

    def holds(secret, body, headers):
        try:
            sdk(secret).verify(body, headers, **({"json_parse": False} if start == "webhook" else {}))
        except (ValueError, standardwebhooks.WebhookVerificationError):
            return False
        return True

    return signed, holds


def stripe_signs(secret, body, now):
    moment = int(now.timestamp())
    mac = stripe.WebhookSignature._compute_signature(f"{moment}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={moment},v1={mac}"}


def stripe_holds(secret, body, headers):
    try:
        return stripe.WebhookSignature.verify_header(body, headers.get("Stripe-Signature"), secret, tolerance=300)
    except stripe.SignatureVerificationError:
        return False


def slack_signs(secret, body, now):
    moment = str(int(now.timestamp()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=moment, body=body)
    return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": signature}


def slack_holds(secret, body, headers):
    try:
        return SignatureVerifier(secret).is_valid_request(body, headers)
    except ValueError:  # of a timestamp that is no number
        return False


def twilio_signs(secret, body, _now):
    return {"X-Twilio-Signature": RequestValidator(secret).compute_signature(URL, params_of(body))}


def twilio_holds(secret, body, headers):
    return RequestValidator(secret).validate(URL, params_of(body), headers.get("X-Twilio-Signature", ""))


def discord_signs(private, body, now):
    moment = str(int(now.timestamp()))
    signature = private.sign(moment.encode() + body).signature.hex()
    return {"X-Signature-Timestamp": moment, "X-Signature-Ed25519": signature}


def discord_holds(private, body, headers):
    moment, signature = headers.get("X-Signature-Timestamp", ""), headers.get("X-Signature-Ed25519", "")
    try:
        private.verify_key.verify(moment.encode() + body, bytes.fromhex(signature))
    except (BadSignatureError, ValueError):
        return False
    return abs(int(moment) - time.time()) <= 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """One SDK: how it signs and judges, and its secret with another one of the kind."""

    signs: Callable[..., dict[str, str]]
    holds: Callable[..., bool]
    secrets: tuple[Any, Any] = (WHSEC, OTHER)

    def ours(self, secret: Any) -> bytes:
        return secret.verify_key.encode().hex().encode() if isinstance(secret, SigningKey) else secret.encode()


STANDARD = standard_like(standardwebhooks.Webhook, "webhook")
SVIX = standard_like(svix.Webhook, "svix")
SDKS = {
    "standard": Sdk(signs=STANDARD[0], holds=STANDARD[1]),
    "svix": Sdk(signs=SVIX[0], holds=SVIX[1]),
    "stripe": Sdk(signs=stripe_signs, holds=stripe_holds),
    "slack": Sdk(signs=slack_signs, holds=slack_holds),
    "twilio": Sdk(signs=twilio_signs, holds=twilio_holds),
    "discord": Sdk(signs=discord_signs, holds=discord_holds, secrets=(DISCORD, STRANGER)),
}


def now():
    """Give the wall clock, since SDKs look at it."""
    return datetime.now(UTC)


def accepted(name, body, headers, *, secret=None):
    sdk, pairs = SDKS[name], [(key.encode(), value.encode("utf-8")) for key, value in headers.items()]
    try:
        verify(SCHEMES[name], [sdk.ours(secret or sdk.secrets[0])], pairs, body, now=now(), url=URL)
    except Rejection:
        return False
    return True


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: f'{{"t": "{text}"}}'.encode())
forms = st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "é"]), st.text("ab =&%é", max_size=5)), max_size=5)
forms = forms.map(lambda pairs: urlencode(pairs).encode())
bodies = st.sampled_from(sorted(SDKS)).flatmap(
    lambda name: st.tuples(st.just(name), forms if name == "twilio" else texts)
)


@settings(max_examples=150)
@given(bodies)
def test_what_an_sdk_signs_we_accept(drawn):
    name, body = drawn
    headers = SDKS[name].signs(SDKS[name].secrets[0], body, now())
    assert accepted(name, body, headers)
    assert SDKS[name].holds(SDKS[name].secrets[0], body, headers)


@settings(max_examples=150)
@given(bodies.filter(lambda drawn: drawn[0] != "discord"))
def test_what_we_sign_an_sdk_accepts(drawn):
    name, body = drawn
    headers = dict(sign(SCHEMES[name], WHSEC.encode(), body, now=now(), event_id="msg_1", url=URL))
    assert SDKS[name].holds(WHSEC, body, headers)


def flipped(value, place):
    """Change one character in the first half, where no base64 has unused bits, to another of the same kind."""
    at = place % max(1, len(value) // 2)
    other = {"a": "b", "A": "B", "1": "2"}.get(value[at : at + 1], "a" if value[at : at + 1].islower() else "1")
    return value[:at] + other + value[at + 1 :]


def shifted(headers, seconds):
    """Move the time that is sent, and leave the signature as it is."""
    moment = int(now().timestamp())
    return {key: value.replace(str(moment)[:8], str(moment + seconds)[:8]) for key, value in headers.items()}


MUTATIONS = {
    "none": lambda body, headers, _: (body, headers),
    "body-longer": lambda body, headers, n: (body + b"&c=%d" % n, headers),
    "body-shorter": lambda body, headers, _: (body[:-1], headers),
    "body-changed": lambda body, headers, _: (body.replace(b"a", b"b", 1), headers),
    "body-empty": lambda _body, headers, _: (b"", headers),
    "header-changed": lambda body, headers, n: (body, changed(headers, n, lambda value: flipped(value, n))),
    "header-shorter": lambda body, headers, n: (body, changed(headers, n, lambda value: value[: len(value) // 2])),
    "header-empty": lambda body, headers, n: (body, changed(headers, n, lambda _: "")),
    "header-lost": lambda body, headers, n: (body, {k: v for k, v in headers.items() if k != pick(headers, n)}),
    "time-moved": lambda body, headers, n: (body, shifted(headers, 400 if n % 2 else -400)),
    "swapped": lambda body, headers, _: (body, dict(zip(headers, reversed(headers.values()), strict=True))),
}


def pick(headers, n):
    return sorted(headers)[n % len(headers)]


def changed(headers, n, how):
    return {key: how(value) if key == pick(headers, n) else value for key, value in headers.items()}


@settings(max_examples=400)
@given(bodies, st.sampled_from(sorted(MUTATIONS)), st.integers(0, 10**6), st.sampled_from([0, 0, 0, -400, -200, 200]))
def test_of_a_changed_request_we_say_what_the_sdk_says(drawn, mutation, number, seconds):
    name, body = drawn
    sdk = SDKS[name]
    headers = sdk.signs(sdk.secrets[0], body, now() + timedelta(seconds=seconds))
    body, headers = MUTATIONS[mutation](body, headers, number)
    if name == "twilio" and body and not well_formed(body):
        assert not accepted(name, body, headers)
        return
    assert accepted(name, body, headers) == sdk.holds(sdk.secrets[0], body, headers)
    assert not accepted(name, body, headers, secret=sdk.secrets[1])


def well_formed(form):
    """Tell whether it is a form to us: of a half pair, Twilio's SDK gets what some framework made of it."""
    try:
        parse_qsl(form.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return False
    return True


class TestDifferences:
    BODY = b'{"a": 1}'

    def headers(self, name, *, seconds=0):
        return SDKS[name].signs(SDKS[name].secrets[0], self.BODY, now() + timedelta(seconds=seconds))

    def both(self, name, headers, body=BODY):
        return accepted(name, body, headers), SDKS[name].holds(SDKS[name].secrets[0], body, headers)

    def test_stripes_sdk_accepts_any_future(self):
        assert self.both("stripe", self.headers("stripe", seconds=400)) == (False, True)

    @pytest.mark.parametrize("name", ["stripe", "slack"])
    def test_hex_in_capitals_is_the_same_number_to_us(self, name):
        headers = {
            key: "=".join([*value.split("=")[:-1], value.split("=")[-1].upper()])
            for key, value in self.headers(name).items()
        }
        assert self.both(name, headers) == (True, False)

    @pytest.mark.parametrize(("name", "start"), [("standard", "webhook"), ("svix", "svix")])
    def test_standards_sdk_takes_times_and_base64_in_many_spellings(self, name, start):
        headers = self.headers(name)
        for key, spelled in (
            (f"{start}-timestamp", "{} "),
            (f"{start}-timestamp", "{}.5"),
            (f"{start}-signature", "{}!"),
        ):
            assert self.both(name, headers | {key: spelled.format(headers[key])}) == (False, True)

    @pytest.mark.parametrize(("name", "start"), [("standard", "webhook"), ("svix", "svix")])
    def test_standards_sdk_gives_a_good_signature_up_for_a_broken_one_before_it(self, name, start):
        headers = self.headers(name)
        assert self.both(name, headers | {f"{start}-signature": "junk " + headers[f"{start}-signature"]}) == (
            True,
            False,
        )

    @pytest.mark.parametrize("name", ["standard", "svix", "slack"])
    def test_sdks_refuse_bodies_that_are_no_text(self, name):
        body = b"\xff\xfe"
        headers = dict(sign(SCHEMES[name], WHSEC.encode(), body, now=now(), event_id="msg_1"))
        assert self.both(name, headers, body) == (True, False)

    def test_stripes_sdk_raises_for_a_body_that_is_no_text(self):
        body = b"\xff\xfe"
        headers = dict(sign(SCHEMES["stripe"], WHSEC.encode(), body, now=now(), event_id="msg_1"))
        assert accepted("stripe", body, headers)
        with pytest.raises(UnicodeDecodeError):
            stripe_holds(WHSEC, body, headers)
