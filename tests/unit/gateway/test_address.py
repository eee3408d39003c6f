"""Whose request it is, and how much may come from one address."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest

from gateway.address import Addresses, Peers, scheme_of
from gateway.config import Door
from gateway.ledger import Limit

PROXIED = Door(trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
STANDARD = Door(trusted_proxies=PROXIED.trusted_proxies, forwarded="forwarded")


def scope(client, *lines, scheme="http"):
    headers = [tuple(part.strip().encode() for part in line.split(":", 1)) for line in lines]
    return {"client": (client, 1) if client else None, "headers": headers, "scheme": scheme}


@pytest.mark.parametrize(
    ("client", "lines", "sender"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["x-forwarded-for: 198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["x-forwarded-for: 1.1.1.1, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
        ("10.0.0.1", ["x-forwarded-for: 1.1.1.1", "x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["x-forwarded-for: 198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["x-forwarded-for: [2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["x-forwarded-for: ::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["x-forwarded-for: 1.1.1.1, rubbish"], "unknown"),
        ("10.0.0.1", ["x-forwarded-for:"], "unknown"),
        ("10.0.0.1", ["forwarded: for=198.51.100.1"], None),
        ("10.0.0.1", [], None),
        ("10.0.0.1", ["x-forwarded-for: 10.0.0.7"], None),
        ("::ffff:10.0.0.1", ["x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        ("2001:db8::1", [], "2001:db8::/64"),
        (None, ["x-forwarded-for: 198.51.100.1"], "198.51.100.1"),
        (None, [], None),
    ],
)
def test_only_a_trusted_proxy_is_believed_and_only_its_own_note(client, lines, sender):
    assert Peers(PROXIED).sender_of(scope(client, *lines)) == sender


@pytest.mark.parametrize(
    ("line", "sender"),
    [
        ("forwarded: for=198.51.100.1;proto=https;by=10.0.0.1", "198.51.100.1"),
        ('forwarded: for=1.1.1.1, For="198.51.100.1:80"; proto=https', "198.51.100.1"),
        ('forwarded: proto=https;for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::/64"),
        ("forwarded: for=_hidden", "unknown"),
        ("forwarded: by=10.0.0.1", "unknown"),
        ("x-forwarded-for: 198.51.100.1", None),
    ],
)
def test_the_standard_header_is_read_where_it_is_the_configured_one(line, sender):
    assert Peers(STANDARD).sender_of(scope("10.0.0.1", line)) == sender


@pytest.mark.parametrize(
    ("client", "door", "line", "scheme"),
    [
        ("10.0.0.1", PROXIED, "x-forwarded-proto: https", "https"),
        ("10.0.0.1", PROXIED, "x-forwarded-proto: gopher", "http"),
        ("203.0.113.9", PROXIED, "x-forwarded-proto: https", "http"),
        ("10.0.0.1", STANDARD, "forwarded: for=1.1.1.1;proto=https", "https"),
        ("10.0.0.1", STANDARD, "x-forwarded-proto: https", "http"),
    ],
)
def test_a_trusted_proxy_tells_whether_its_sender_used_tls(client, door, line, scheme):
    assert scheme_of(scope(client, line), door) == scheme


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


LIMIT = Door(per_address=Limit(count=60, period=timedelta(minutes=1), burst=3))


def test_a_burst_may_come_at_once_and_then_the_rate_holds(time):
    addresses = Addresses(timer=time)
    waits = [addresses.charge(scope("203.0.113.9"), LIMIT) for _ in range(4)]
    assert waits == [0, 0, 0, pytest.approx(1)]
    time.now += 1.001
    assert [addresses.charge(scope("203.0.113.9"), LIMIT) for _ in range(2)] == [0, pytest.approx(0.999)]


def test_one_address_does_not_spend_what_another_may_send(time):
    addresses = Addresses(timer=time)
    for _ in range(4):
        addresses.charge(scope("203.0.113.9"), LIMIT)
    assert addresses.charge(scope("203.0.113.10"), LIMIT) == 0


def test_loopback_and_no_limit_are_never_charged(time):
    addresses = Addresses(timer=time)
    assert {addresses.charge(scope("127.0.0.1"), LIMIT) for _ in range(10)} == {0}
    assert {addresses.charge(scope("203.0.113.9"), Door(per_address=None)) for _ in range(10)} == {0}


def test_new_rules_hold_at_once(time):
    addresses = Addresses(timer=time)
    one = Door(per_address=Limit(count=1, period=timedelta(minutes=1), burst=1))
    assert addresses.charge(scope("10.0.0.1"), one) == 0
    assert addresses.charge(scope("10.0.0.1"), one) > 0
    trusting = Door(per_address=one.per_address, trusted_proxies=PROXIED.trusted_proxies)
    assert addresses.charge(scope("10.0.0.1"), trusting) == 0


def test_many_addresses_take_a_bounded_memory_and_the_quietest_is_forgotten(time):
    addresses = Addresses(most=2, timer=time)
    one = Door(per_address=Limit(count=1, period=timedelta(minutes=1), burst=1))
    for client in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
        assert addresses.charge(scope(client), one) == 0
    assert addresses.charge(scope("203.0.113.3"), one) > 0
    assert addresses.charge(scope("203.0.113.1"), one) == 0
