from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.webhook_receiver import Receiver, answer

from actors.errors import Failure
from actors.sinks import Receipt, Refusal, WebhookSink
from actors.sinks.webhook import retry_after

OLD, NEW = b"o" * 32, b"n" * 32
SECRETS = ["whsec_" + base64.b64encode(NEW).decode(), base64.b64encode(OLD).decode()]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def sink_for(url, **options):
    given = {"name": "n8n", "allow_private": True, "timeout": timedelta(seconds=5), "secrets": SECRETS}
    return WebhookSink(url=url, **given | options)


async def deliver(sink, outgoing, now):
    try:
        return await sink.send(outgoing, now=now)
    finally:
        await sink.aclose()


def exchange(reply, outgoing, now, **options):
    """Send one delivery to a receiver that replies so; give its receipt or failure, and what the receiver got."""

    async def run():
        async with Receiver(reply) as receiver:
            try:
                return await deliver(sink_for(receiver.url, **options), outgoing, now), receiver.got
            except Failure as failure:
                return failure, receiver.got

    outcome, got = asyncio.run(run())
    assert "s3cret" not in str(outcome)
    return outcome, got


def refused(sink, outgoing, now):
    with pytest.raises(Failure, match=r"^sink n8n: ") as caught:
        asyncio.run(deliver(sink, outgoing, now))
    assert "s3cret" not in str(caught.value)
    return caught.value


def test_delivery_carries_what_standard_webhooks_ask_for(outgoing, now):
    receipt, [got] = exchange(
        answer(200, body=b"ok"), outgoing(traceparent=TRACEPARENT), now, header=("X-Auth", "s3cret-header")
    )
    assert receipt == Receipt(status=200, detail="HTTP 200, 2 bytes")
    assert got.line == "POST /webhook/s3cret-path?token=s3cret-query HTTP/1.1"
    assert got.body == outgoing().body()
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("hookmill/0.")
    assert got.headers["traceparent"] == TRACEPARENT
    assert got.headers["x-auth"] == "s3cret-header"
    assert "cookie" not in got.headers


def test_signatures_of_all_secrets_verify_by_hand(outgoing, now):
    _, [got] = exchange(answer(204), outgoing(), now)
    signed = b"dlv_01." + str(int(now.timestamp())).encode() + b"." + got.body
    by_hand = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (NEW, OLD)]
    assert got.headers["webhook-id"] == "dlv_01"
    assert got.headers["webhook-timestamp"] == str(int(now.timestamp()))
    assert got.headers["webhook-signature"] == f"v1,{by_hand[0]} v1,{by_hand[1]}"


def test_retry_keeps_id_and_body_and_is_signed_afresh(outgoing, now):
    async def run():
        async with Receiver() as receiver:
            sink = sink_for(receiver.url)
            await sink.send(outgoing(attempt=1), now=now)
            await deliver(sink, outgoing(attempt=2), now + timedelta(minutes=2))
            return receiver

    receiver = asyncio.run(run())
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 120
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert receiver.connections == 1


@pytest.mark.parametrize("traceparent", ["", "00-0af7-1-01", TRACEPARENT + "\r\nx-evil: 1"])
def test_malformed_traceparent_is_left_out(outgoing, now, traceparent):
    _, [got] = exchange(answer(204), outgoing(traceparent=traceparent), now)
    assert "traceparent" not in got.headers
    assert "x-evil" not in got.headers


def test_configured_header_cannot_displace_the_signature(outgoing, now):
    _, [got] = exchange(answer(204), outgoing(), now, header=("Webhook-Signature", "v1,forged"))
    assert "forged" not in got.headers["webhook-signature"]


@pytest.mark.parametrize(
    ("status", "klass"),
    [
        *((status, "transient") for status in (404, 408, 410, 425, 500, 501, 502, 503, 504, 599)),
        (429, "rate_limited"),
        *((status, "permanent") for status in (300, 301, 304, 307, 308, 400, 401, 403, 409, 413, 422, 451)),
    ],
)
def test_status_decides_whether_to_try_again(outgoing, now, status, klass):
    failure, got = exchange(answer(status, "location: /elsewhere"), outgoing(), now)
    assert (failure.klass, str(failure), len(got)) == (klass, f"sink n8n: HTTP {status}", 1)


def test_only_gone_says_that_the_sink_is_to_be_left_alone(outgoing, now):
    assert [exchange(answer(status), outgoing(), now)[0].gone for status in (404, 410, 503)] == [False, True, False]


def test_what_n8n_answers_while_it_starts_is_no_delivery(outgoing, now):
    said = "n8n is starting up. Please wait"
    failure, _ = exchange(answer(200, "content-type: text/html", body=said.encode()), outgoing(), now)
    assert failure.klass == "transient"


def test_a_token_is_for_this_body_and_for_five_minutes(outgoing, now):
    key = "k" * 32
    _, [got] = exchange(answer(204), outgoing(), now, jwt=key)
    token = got.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, key, algorithms=["HS256"], options={"verify_exp": False, "verify_iat": False})
    digest = hashlib.sha256(got.body).hexdigest()
    assert claims == {
        "iss": "hookmill",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 300,
        "jti": "dlv_01",
        "sha256": digest,
    }
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, "x" * 32, algorithms=["HS256"])
    assert got.headers["webhook-signature"].startswith("v1,")


JSON = "content-type: application/json"


@pytest.mark.parametrize("status", [200, 500])
def test_how_an_answer_begins_is_kept_for_the_ledger(outgoing, now, status):
    outcome, _ = exchange(answer(status, JSON, body=b'{"message":"no such sheet"}' + b" " * 600), outgoing(), now)
    receipt = outcome.receipt if isinstance(outcome, Failure) else outcome
    assert (receipt.status, len(receipt.answer)) == (status, 512)
    assert receipt.answer.startswith('{"message":"no such sheet"}')
    assert "sheet" not in repr(receipt) + str(outcome)


@pytest.mark.parametrize(
    "echo",
    [
        lambda got: b"you sent " + got.body[30:80],
        lambda got: b"hello " + got.headers["x-auth"].encode(),
        lambda got: b"x" * 500 + got.headers["authorization"].encode(),  # cut short after 512 bytes
        lambda got: got.headers["webhook-signature"][3:20].encode(),
    ],
)
def test_an_answer_that_repeats_what_was_sent_is_not_kept(outgoing, now, echo):
    async def run():
        async with Receiver() as receiver:

            async def repeat(writer):
                await answer(500, "content-type: text/plain", body=echo(receiver.got[-1]))(writer)

            receiver.reply = repeat
            sink = sink_for(receiver.url, header=("X-Auth", "s3cret-header"), jwt="k" * 32)
            with pytest.raises(Refusal) as caught:
                await deliver(sink, outgoing(), now)
            return caught.value.receipt

    assert asyncio.run(run()).answer == ""


@pytest.mark.parametrize("headers", [("content-type: image/png",), (JSON, "content-encoding: gzip"), ()])
def test_an_answer_that_nobody_can_read_is_not_kept(outgoing, now, headers):
    assert exchange(answer(200, *headers, body=b"\x1f\x8b"), outgoing(), now)[0].answer == ""


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_delivered(outgoing, now, status):
    assert exchange(answer(status), outgoing(), now)[0].status == status


def test_redirect_is_not_followed(outgoing, now):
    async def run():
        async with Receiver() as inside, Receiver(answer(307, f"location: {inside.url}")) as receiver:
            with pytest.raises(Failure, match="HTTP 307") as caught:
                await deliver(sink_for(receiver.url), outgoing(), now)
            return caught.value, inside.got

    failure, got_inside = asyncio.run(run())
    assert failure.klass == "permanent"
    assert got_inside == []


def test_answer_of_a_failure_is_not_repeated_anywhere(outgoing, now, caplog):
    caplog.set_level(logging.INFO)
    failure, _ = exchange(answer(500, "x-debug: s3cret", body=b"s3cret stack"), outgoing(), now)
    assert str(failure) == "sink n8n: HTTP 500"
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [(429, "120", 120), (503, "7", 7), (429, "soon", None), (429, "-5", None), (429, "", None), (400, "9", None)],
)
def test_retry_after_is_handed_on(outgoing, now, status, value, seconds):
    failure, _ = exchange(answer(status, f"retry-after: {value}"), outgoing(), now)
    assert failure.retry_after == (timedelta(seconds=seconds) if seconds else None)


def test_retry_after_as_a_date_is_judged_by_now(now):
    later = format_datetime(now + timedelta(minutes=10), usegmt=True)
    assert retry_after(later, now=now) == timedelta(minutes=10)
    assert retry_after(later, now=now + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    "text", ["1_0", "\u0663", "1e9", "99999999999999999999", "Fri, 99 Foo 2026", "Mon, 1 Jan 99999"]
)
def test_nonsense_in_retry_after_is_ignored(now, text):
    assert retry_after(text, now=now) is None


def test_receiver_that_hangs_meets_the_deadline(outgoing, now):
    async def hang(_):
        await asyncio.sleep(30)

    start = time.monotonic()
    failure, _ = exchange(hang, outgoing(), now, timeout=timedelta(seconds=0.3))
    assert time.monotonic() - start < 2
    assert (failure.klass, str(failure)) == ("transient", "sink n8n: no answer within 0.3 s")


def test_headers_that_drip_meet_the_same_deadline(outgoing, now):
    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(600):
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.05)

    start = time.monotonic()
    failure, _ = exchange(drip, outgoing(), now, timeout=timedelta(seconds=0.3))
    assert time.monotonic() - start < 2
    assert failure.klass == "transient"


def test_body_that_drips_does_not_undo_a_delivery(outgoing, now):
    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n")
        for _ in range(500):
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.05)

    start = time.monotonic()
    receipt, _ = exchange(drip, outgoing(), now)
    assert time.monotonic() - start < 3
    assert receipt.status == 200
    assert receipt.detail.endswith("then cut off")


def test_huge_answer_is_not_read(outgoing, now):
    sent = 0

    async def flood(writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        while sent < 1_000_000_000:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    receipt, _ = exchange(flood, outgoing(), now)
    assert receipt == Receipt(status=200, detail="HTTP 200, more than 4096 bytes")
    assert sent < 50_000_000


def test_compressed_bomb_stays_compressed(outgoing, now):
    receipt, _ = exchange(answer(200, "content-encoding: gzip", body=b"\x1f\x8b not gzip"), outgoing(), now)
    assert receipt.detail == "HTTP 200, 11 bytes"


@pytest.mark.parametrize("raw", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nbroken"])
def test_broken_answer_is_worth_another_attempt(outgoing, now, raw):
    async def broken(writer):
        writer.write(raw)
        writer.close()

    failure, _ = exchange(broken, outgoing(), now)
    assert failure.klass == "transient"
    assert "connection failed" in str(failure)


def test_refused_connection_is_worth_another_attempt(outgoing, now, free_port):
    failure = refused(sink_for(f"http://127.0.0.1:{free_port}/s3cret"), outgoing(), now)
    assert (failure.klass, str(failure)) == ("transient", "sink n8n: connection failed (ConnectError)")


def test_unknown_name_is_worth_another_attempt(outgoing, now):
    async def nowhere(_host, _port):
        raise OSError("s3cret.invalid")

    failure = refused(sink_for("https://s3cret.invalid/", resolve=nowhere), outgoing(), now)
    assert failure.klass == "transient"


def test_loopback_is_refused_unless_allowed(outgoing, now):
    async def run():
        async with Receiver() as receiver:
            for host in ("127.0.0.1", "localhost", "2130706433", "127.1"):
                sink = sink_for(f"http://{host}:{receiver.port}/s3cret", allow_private=False)
                with pytest.raises(Failure, match="private or loopback") as caught:
                    await deliver(sink, outgoing(), now)
                assert caught.value.klass == "permanent"
            return receiver

    assert asyncio.run(run()).connections == 0


def test_metadata_server_is_refused_even_where_private_is_allowed(outgoing, now):
    failure = refused(sink_for("http://169.254.169.254/latest/s3cret"), outgoing(), now)
    assert failure.klass == "permanent"
    assert "metadata" in str(failure)


def test_name_that_turns_private_later_is_refused_then(outgoing, now):
    answers = iter([["127.0.0.1"], ["127.0.0.1", "169.254.169.254"]])

    async def rebinding(_host, _port):
        return next(answers)

    async def run():
        async with Receiver() as receiver:
            sink = sink_for(f"http://rebind.example:{receiver.port}/", resolve=rebinding)
            await sink.send(outgoing(), now=now)
            with pytest.raises(Failure, match="refused"):
                await deliver(sink, outgoing(), now)
            return receiver

    assert len(asyncio.run(run()).got) == 1


def test_connects_to_the_checked_address_and_names_the_host(outgoing, now):
    asked = []

    async def pin(host, port):
        asked.append((host, port))
        return ["127.0.0.1"]

    async def run():
        async with Receiver() as receiver:
            await deliver(sink_for(f"http://hooks.example:{receiver.port}/x", resolve=pin), outgoing(), now)
            return receiver

    receiver = asyncio.run(run())
    assert asked == [("hooks.example", receiver.port)]
    assert receiver.got[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_next_address_is_tried_where_the_first_does_not_listen(outgoing, now):
    async def both(_host, _port):
        return ["127.0.0.2", "127.0.0.1"]

    async def run():
        async with Receiver() as receiver:
            await deliver(sink_for(f"http://localhost:{receiver.port}/x", resolve=both), outgoing(), now)
            return receiver

    assert len(asyncio.run(run()).got) == 1


def test_no_more_deliveries_are_under_way_than_permitted(outgoing, now):
    under_way = peak = 0

    async def slow(writer):
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        await answer(204)(writer)

    async def run():
        async with Receiver(slow) as receiver:
            sink = sink_for(receiver.url, concurrency=2)
            await asyncio.gather(*(sink.send(outgoing(delivery_id=f"dlv_{n}"), now=now) for n in range(6)))
            await sink.aclose()
            return receiver

    assert len(asyncio.run(run()).got) == 6
    assert peak == 2


def test_cookie_is_not_kept(outgoing, now):
    async def run():
        async with Receiver(answer(204, "set-cookie: a=b; Path=/")) as receiver:
            sink = sink_for(receiver.url)
            await sink.send(outgoing(), now=now)
            await deliver(sink, outgoing(), now)
            return receiver

    assert all("cookie" not in got.headers for got in asyncio.run(run()).got)


def test_proxy_of_the_environment_is_not_used(outgoing, now, monkeypatch, free_port):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert exchange(answer(204), outgoing(), now)[0].status == 204


@pytest.mark.parametrize("url", ["ftp://h/s3cret", "http://", "https://user:s3cret@h/", "http://h:s3cret/", "/s3cret"])
def test_unusable_url_is_refused_at_once_without_showing_it(url):
    with pytest.raises(ValueError, match="url") as caught:
        sink_for(url)
    assert "s3cret" not in str(caught.value)


def certificate(folder, name):
    """Make a self-signed certificate; give the server's and the client's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    moment = datetime.now(UTC)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(moment - timedelta(hours=1)).not_valid_after(moment + timedelta(hours=1))
    signed = made.add_extension(alternative, critical=False).sign(key, hashes.SHA256())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = folder / f"{name}.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + signed.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=pem)


@pytest.mark.parametrize(("issued_to", "passes"), [("hooks.example", True), ("other.example", False)])
def test_certificate_is_checked_against_the_name_though_the_address_is_pinned(
    tmp_path, outgoing, now, issued_to, passes
):
    server, client = certificate(tmp_path, issued_to)
    named = []
    server.sni_callback = lambda _, name, __: named.append(name)

    async def pin(_host, _port):
        return ["127.0.0.1"]

    async def run():
        async with Receiver(tls=server) as receiver:
            sink = sink_for(f"https://hooks.example:{receiver.port}/x", resolve=pin, tls=client)
            try:
                return await deliver(sink, outgoing(), now), receiver.got
            except Failure as failure:
                return failure, receiver.got

    outcome, got = asyncio.run(run())
    assert named == ["hooks.example"]
    assert (isinstance(outcome, Receipt), len(got)) == ((True, 1) if passes else (False, 0))


def test_untrusted_certificate_is_refused(tmp_path, outgoing, now):
    server, _ = certificate(tmp_path, "localhost")

    async def run():
        async with Receiver(tls=server) as receiver:
            with pytest.raises(Failure, match="ConnectError") as caught:
                await deliver(sink_for(f"https://localhost:{receiver.port}/x"), outgoing(), now)
            return caught.value, receiver.got

    failure, got = asyncio.run(run())
    assert failure.klass == "transient"
    assert got == []


def test_url_with_an_ipv6_address_keeps_its_brackets(outgoing, now):
    async def pin(host, _port):
        assert host == "::1"
        return ["127.0.0.1"]

    async def run():
        async with Receiver() as receiver:
            await deliver(sink_for(f"http://[::1]:{receiver.port}/x", resolve=pin), outgoing(), now)
            return receiver

    receiver = asyncio.run(run())
    assert receiver.got[0].headers["host"] == f"[::1]:{receiver.port}"
