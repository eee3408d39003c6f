"""Bodies and headers that are too large, too slow or ambiguous, over raw sockets."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from served import BODY, PARSERS, RAW_KEYS, free_id, read_answer, request_bytes, signed_headers, standard_mac

LIMIT = 256 * 1024
pytestmark = pytest.mark.parametrize("http", PARSERS)


def sized(length):
    return b'{"a":"' + b"x" * (length - 8) + b'"}'


def test_a_body_of_exactly_the_limit_is_taken(gateway):
    body = sized(LIMIT)
    assert gateway.post("demo", body, signed_headers(body)).status_code == 202


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_sent(gateway):
    headers = signed_headers() | {"content-length": str(LIMIT + 1)}
    refused = gateway.send(request_bytes("/hooks/demo", headers))
    assert (refused.status, refused.code, refused.headers["connection"]) == (413, "payload_too_large", "close")


def test_a_sender_that_goes_on_writing_a_body_too_large_still_reads_the_answer(gateway):
    body = sized(LIMIT * 16)
    refused = gateway.post("demo", body, signed_headers(body))
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")


def test_chunks_over_the_limit_are_refused_without_reading_on(gateway):
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    headers = signed_headers() | {"transfer-encoding": "chunked"}
    refused = gateway.send(request_bytes("/hooks/demo", headers), *[chunk] * 64)
    assert (refused.status, refused.code) == (413, "payload_too_large")


def test_a_body_in_chunks_is_taken(gateway):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:5], BODY[5:])) + b"0\r\n\r\n"
    headers = signed_headers() | {"transfer-encoding": "chunked"}
    assert gateway.send(request_bytes("/hooks/demo", headers), chunks, pause=0.05).status == 202


def test_a_body_that_comes_too_slowly_is_refused_in_time(gateway):
    head = request_bytes("/hooks/demo", signed_headers() | {"content-length": "100"})
    began = time.monotonic()
    refused = gateway.send(head, *[b"x"] * 8, pause=0.2)
    assert (refused.status, refused.code) == (408, "body_timeout")
    assert time.monotonic() - began < 2.5


def test_slow_senders_do_not_hold_up_a_good_one(gateway):
    head = request_bytes("/hooks/demo", signed_headers() | {"content-length": "100"})
    clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(200)]
    try:
        for client in clients:
            client.sendall(head + b"x")
        began = time.monotonic()
        assert gateway.post("demo").status_code == 202
        assert time.monotonic() - began < 1
        assert read_answer(clients[-1]).status == 408
    finally:
        for client in clients:
            client.close()


def test_a_connection_too_many_is_told_when_to_try_again(gateway):
    gateway.server.config.limit_concurrency = 2
    held = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(2)]
    refused = gateway.send(request_bytes("/live", {}, method="GET"))
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "1")
    for client in held:
        client.close()
    time.sleep(0.05)
    assert gateway.get("/live").status_code == 200


def test_a_header_block_without_end_is_cut_off_and_costs_no_memory(gateway):
    before = resident()
    refused = gateway.send(b"POST /hooks/demo HTTP/1.1\r\nx-pad: ", *[b"A" * 65536] * 320)
    assert (refused.status, refused.code) == (431, "headers_too_large")
    assert resident() - before < 8 * 1024 * 1024


@pytest.mark.parametrize("count", [99, 100, 200])
def test_more_than_a_hundred_header_lines_are_refused(gateway, count):
    headers = signed_headers() | {"content-length": str(len(BODY))}
    headers |= {f"x-{number}": "1" for number in range(count - len(headers) - 1)}
    answer = gateway.send(request_bytes("/hooks/demo", headers, BODY))
    assert (answer.status, answer.code) == ((202, None) if count <= 100 else (431, "headers_too_large"))


def test_a_trailer_cannot_bring_the_signature(gateway):
    headers = signed_headers() | {"transfer-encoding": "chunked"}
    signature = headers.pop("webhook-signature")
    body = b"%x\r\n%b\r\n0\r\nwebhook-signature: %b\r\n\r\n" % (len(BODY), BODY, signature.encode())
    for parts in ([request_bytes("/hooks/demo", headers) + body], [request_bytes("/hooks/demo", headers), body]):
        refused = gateway.send(*parts, pause=0.05)
        assert (refused.status, refused.code) == (401, "signature_missing")


def test_requests_on_one_connection_are_answered_in_turn(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        for expected in (202, 401, 202):
            headers = signed_headers() if expected == 202 else signed_headers(secret="whsec_" + "B" * 44)
            request = request_bytes("/hooks/demo", headers | {"content-length": str(len(BODY))}, BODY)
            client.sendall(request)
            assert read_answer(client).status == expected


@pytest.mark.parametrize("name", ["content-type", "host", "webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_decides_must_not_be_repeated(gateway, http, name):
    headers = signed_headers()
    again = f"{name}: {({'host': 'gw'} | headers)[name]}\r\n".encode()
    first, rest = request_bytes("/hooks/demo", headers | {"content-length": str(len(BODY))}, BODY).split(b"\r\n", 1)
    refused = gateway.send(first + b"\r\n" + again + rest)
    code = None if (http, name) == ("h11", "host") else "header_repeated"  # h11 refuses that one itself
    assert (refused.status, refused.code) == (400, code)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("transfer-encoding: gzip, chunked", "transfer_encoding_unsupported"),
        ("transfer-encoding: identity", "transfer_encoding_unsupported"),
        ("content-length: 2\r\ncontent-encoding: gzip", "content_encoding_unsupported"),
        ("content-length: 2\r\ncontent-encoding: identity, br", "content_encoding_unsupported"),
    ],
)
def test_codings_that_are_not_understood_are_refused(gateway, lines, code):
    refused = gateway.send(f"POST /hooks/demo HTTP/1.1\r\nhost: gw\r\n{lines}\r\n\r\n".encode() + b"{}")
    assert refused.code == code or (refused.status, refused.code) == (400, None)


def test_a_timestamp_is_judged_at_receipt_and_not_when_a_slow_body_has_ended(gateway):
    time.sleep(1 - time.time() % 1)  # so that the oldest timestamp still in tolerance has most of a second left
    event_id, oldest = free_id(), str(int(time.time()) - 299)
    headers = signed_headers(event_id=event_id) | {"webhook-timestamp": oldest, "content-length": str(len(BODY))}
    headers["webhook-signature"] = standard_mac(RAW_KEYS["other"], event_id, oldest, BODY)
    assert gateway.send(request_bytes("/hooks/other", headers), BODY, pause=1.2).status == 202
    late = gateway.send(request_bytes("/hooks/other", headers, BODY))
    assert (late.status, late.code) == (401, "timestamp_out_of_tolerance")


def resident():
    return int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
