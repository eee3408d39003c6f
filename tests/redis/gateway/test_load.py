"""What is turned away before it is verified: too much from one address, and too much at once."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack

import pytest
from served import BODY, CONFIG, SECRETS, read_answer, request_bytes, signed_headers

DOOR = """
[gateway]
per_address = "3/minute"
trusted_proxies = ["127.0.0.0/8"]
"""
FROM = {"x-forwarded-for": "198.51.100.1"}
LANES = """
[gateway]
in_flight = 10
""" + "".join(
    f'[sources.{lane}]\nscheme = "standard"\nsecrets = ["env:DEMO"]\npipeline = "p"\npriority = "{lane}"\n'
    for lane in ("low", "normal", "high")
)


def test_an_address_that_sends_too_much_is_refused_before_its_signature_is_looked_at(start, redis_url):
    gateway = start(redis_url, config=DOOR + CONFIG)
    forged = signed_headers(secret=SECRETS["wrong"]) | FROM
    codes = [gateway.post("demo", BODY, forged).json()["code"] for _ in range(4)]
    assert codes == ["signature_invalid"] * 3 + ["address_limited"]
    refused = gateway.post("demo", BODY, signed_headers() | FROM)
    assert (refused.status_code, refused.json()["code"]) == (429, "address_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    unknown = gateway.post("made-up", BODY, signed_headers() | FROM)
    assert unknown.json() == refused.json()
    assert gateway.get("/events", headers=FROM).status_code == 429
    assert gateway.post("demo", BODY, signed_headers() | {"x-forwarded-for": "198.51.100.2"}).status_code == 202
    assert gateway.post("demo", BODY, signed_headers()).status_code == 202
    assert gateway.get("/live", headers=FROM).status_code == 200


def test_a_source_that_forbids_429_is_told_503_for_its_address_too(start, redis_url):
    gateway = start(redis_url, config=DOOR + CONFIG)
    refused = [gateway.post("patient", BODY, signed_headers() | FROM) for _ in range(4)][-1]
    assert (refused.status_code, refused.json()["code"]) == (503, "address_limited")
    assert "ratelimit" not in refused.headers


def test_a_stranger_cannot_speak_for_another_address(start, redis_url):
    gateway = start(redis_url, config=DOOR.replace("127.0.0.0/8", "10.0.0.0/8") + CONFIG)
    sent = [gateway.post("demo", BODY, signed_headers() | {"x-forwarded-for": f"198.51.100.{n}"}) for n in range(4)]
    assert [one.status_code for one in sent] == [202, 202, 202, 429]


def test_low_priority_is_shed_first_while_the_ledger_is_slow(start, own_redis):
    redis = own_redis()
    gateway = start(redis.url, config=LANES)
    gateway.post("high", BODY, signed_headers())
    with ExitStack() as opened:

        def send(lane):
            client = opened.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=5))
            headers = signed_headers() | {"content-length": str(len(BODY))}
            client.sendall(request_bytes(f"/hooks/{lane}", headers, BODY))
            return client

        os.kill(redis.pid, signal.SIGSTOP)
        try:
            waiting = [send("high") for _ in range(8)]
            low = read_answer(send("low"))
            waiting.append(send("normal"))
            normal = read_answer(send("normal"))
            waiting.append(send("high"))
            high = read_answer(send("high"))
            answers = [read_answer(client) for client in waiting]
        finally:
            os.kill(redis.pid, signal.SIGCONT)
    for shed in (low, normal, high):
        assert (shed.status, shed.code, shed.headers["retry-after"]) == (503, "overloaded", "1")
    assert {one.code for one in answers} == {"ledger_unavailable"}
    until = time.monotonic() + 5
    while (status := gateway.post("low", BODY, signed_headers()).status_code) == 503 and time.monotonic() < until:
        time.sleep(0.05)
    assert status == 202


@pytest.mark.parametrize(("scheme", "told"), [("https", "https://"), ("", "http://")])
def test_a_status_link_has_the_scheme_that_the_proxy_tells(gateway, scheme, told):
    headers = signed_headers() | ({"x-forwarded-proto": scheme} if scheme else {})
    assert gateway.post("asker", BODY, headers).json()["status_url"].startswith(told)
