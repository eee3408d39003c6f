"""What a connection may do to the gateway below HTTP's rules, for both parsers: nothing that shows in its log."""

from __future__ import annotations

import logging
import re
import socket
import time

import pytest
from served import BODY, PARSERS, read_answer, request_bytes, signed_headers

from gateway import wire

pytestmark = pytest.mark.parametrize("http", PARSERS)
CHUNKED = {"transfer-encoding": "chunked"}
SIZED = {"content-length": str(len(BODY))}


@pytest.fixture(autouse=True)
def _no_traceback(caplog):
    """Fail a test during which the server logged an error: a traceback, or an exception in a protocol."""
    yield
    time.sleep(0.05)
    logged = [*caplog.get_records("call"), *caplog.records]  # `records` alone has those of the teardown only
    assert [one.getMessage() for one in logged if one.levelno >= logging.ERROR] == []


def connect(gateway):
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=5)


def closed(client):
    """Tell whether the other side ends the connection, without any further answer."""
    try:
        return client.recv(65536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("garbage", [b"ZZ\r\n{}\r\n", b"2\r\n{}XX0\r\n\r\n", b"-2\r\n{}\r\n"])
def test_a_chunk_that_breaks_while_its_body_is_read_is_refused_once(gateway, garbage):
    with connect(gateway) as client:
        client.sendall(request_bytes("/hooks/demo", signed_headers() | CHUNKED) + b"2\r\n{}\r\n")
        time.sleep(0.05)
        client.sendall(garbage)
        assert read_answer(client).status == 400
        assert closed(client)
    assert gateway.stored() == {}
    assert gateway.post("demo").status_code == 202


def test_garbage_after_an_answer_is_refused(gateway):
    with connect(gateway) as client:
        client.sendall(request_bytes("/live", {}, method="GET"))
        assert read_answer(client).status == 200
        client.sendall(b"\x16\x03\x01\r\n\r\n")
        assert read_answer(client).status == 400
        assert closed(client)


def test_requests_sent_together_are_answered_in_their_order(gateway):
    first = request_bytes("/hooks/demo", signed_headers() | SIZED, BODY)
    second = request_bytes("/hooks/demo", signed_headers(secret="whsec_" + "B" * 44) | SIZED, BODY)
    with connect(gateway) as client:
        client.sendall(first + second + request_bytes("/live", {"connection": "close"}, method="GET"))
        received = b""
        while part := client.recv(65536):
            received += part
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"202", b"401", b"200"]


def test_a_sender_that_hangs_up_on_requests_sent_together_leaves_no_error(gateway):
    for _ in range(20):
        first = request_bytes("/hooks/demo", signed_headers() | SIZED, BODY)  # waits for Redis when its sender goes
        with connect(gateway) as client:
            client.sendall(first + request_bytes("/live", {}, method="GET"))
    assert gateway.post("demo").status_code == 202


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_chunk_that_breaks_before_the_answer_is_refused_without_an_error(gateway, method):
    with connect(gateway) as client:
        client.sendall(request_bytes("/live", CHUNKED, b"ZZ\r\n", method=method))
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
        while client.recv(65536):
            pass


def test_bytes_after_a_request_that_was_refused_unread_get_no_answer(gateway):
    head = request_bytes("/hooks/demo", signed_headers() | {"content-length": "999999999"})
    with connect(gateway) as client:
        client.sendall(head + b"x" * 1000 + request_bytes("/live", {}, method="GET"))
        refused = read_answer(client)
        assert (refused.status, refused.code) == (413, "payload_too_large")
        assert closed(client)


def test_a_request_that_was_answered_before_its_end_does_not_cost_the_next_one_its_connection(gateway):
    with connect(gateway) as client:
        for _ in range(2):
            client.sendall(request_bytes("/nowhere", SIZED))
            assert read_answer(client).status == 404
            client.sendall(BODY)
        client.sendall(request_bytes("/live", {}, method="GET"))
        assert read_answer(client).status == 200


def test_a_request_that_was_answered_before_its_end_has_to_end_soon(gateway, monkeypatch):
    monkeypatch.setattr(wire, "LINGER_SECONDS", 0.2)
    with connect(gateway) as client:
        client.sendall(request_bytes("/nowhere", {"content-length": "1000"}))
        assert read_answer(client).status == 404
        began = time.monotonic()
        client.sendall(b"x")
        assert closed(client)
        assert time.monotonic() - began < 3


def test_a_connection_that_broke_after_its_answer_leaves_the_server_its_end_in_good_order(gateway):
    slow = request_bytes("/hooks/demo", signed_headers() | SIZED)
    with connect(gateway) as broken, connect(gateway) as client:
        broken.sendall(request_bytes("/nowhere", CHUNKED))
        assert read_answer(broken).status == 404
        broken.sendall(b"ZZ\r\n")
        client.sendall(slow)
        assert gateway.get("/live").status_code == 200  # so it has read both
        gateway.server.should_exit = True
        time.sleep(0.3)
        client.sendall(BODY)
        assert read_answer(client).status == 202
        gateway.stop()
        assert not gateway.thread.is_alive()


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("CONNECT gw:443 HTTP/1.1", {400, 404, 405}),
        ("OPTIONS * HTTP/1.1", {400, 404, 405}),
        ("POST http://gw/hooks/demo HTTP/1.1", {401, 404}),
        ("PRI * HTTP/2.0", {400, 404, 405}),
        ("GET /live HTTP/9.9", {200, 400}),
        ("GET /live", {200, 400}),
        ("GET /li ve HTTP/1.1", {400}),
        ("G\x00T /live HTTP/1.1", {400}),
        ("GET /live HTTP/1.0", {200}),
    ],
)
def test_an_odd_first_line_gets_a_plain_answer(gateway, first, status):
    assert gateway.send(f"{first}\r\nhost: gw\r\n\r\n".encode("latin-1")).status in status


@pytest.mark.parametrize("line", ["x y: 1", "x\x00: 1", ": 1", "x: a\x00b", "x : 1"])
def test_an_odd_header_line_cannot_reach_the_application_in_disguise(gateway, line):
    headers = signed_headers() | SIZED
    request = request_bytes("/hooks/demo", headers, BODY).replace(b"host: gw\r\n", f"host: gw\r\n{line}\r\n".encode())
    assert gateway.send(request).status == 400


def test_an_upgrade_is_not_heard_of(gateway):
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    assert gateway.send(request_bytes("/live", upgrade, method="GET")).status == 200


def test_a_sender_that_asks_first_is_told_to_go_on_or_not(gateway):
    headers = signed_headers() | SIZED | {"expect": "100-continue"}
    with connect(gateway) as client:
        client.sendall(request_bytes("/hooks/demo", headers))
        assert client.recv(65536).startswith(b"HTTP/1.1 100 ")
        client.sendall(BODY)
        assert read_answer(client).status == 202
    too_much = headers | {"content-length": "999999999"}
    assert gateway.send(request_bytes("/hooks/demo", too_much)).status == 413


def test_a_header_block_that_comes_too_slowly_is_cut_off(gateway, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.3)
    with connect(gateway) as client:
        began = time.monotonic()
        client.sendall(b"POST /hooks/demo HTTP/1.1\r\n")
        time.sleep(0.2)
        client.sendall(b"host: gw\r\n")
        assert closed(client)
        assert time.monotonic() - began < 2


def test_a_connection_that_says_nothing_is_cut_off(gateway, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    with connect(gateway) as client:
        assert closed(client)
