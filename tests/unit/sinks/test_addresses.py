from __future__ import annotations

import asyncio

import pytest

from actors.sinks.addresses import AddressRefused, guard, resolve, zone

PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("::1", "fc00::1", "fd12:3456::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
]
FORBIDDEN = [
    *("169.254.169.254", "169.254.0.1", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::ffff:168.63.129.16"),
    *("0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "::127.0.0.1", "::169.254.169.254"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1", "64:ff9b::e000:1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::", "2002:808:808::1", "2001::1", "2001:0:7f00:1::"),
    *("fec0::1", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe%1", "64:ff9b:1::7f00:1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.0.0.192", "2001:db8::1", "3fff::1", "100::1"),
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "169.253.1.1", "168.63.129.17", "223.255.255.254"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
]


@pytest.mark.parametrize(
    ("address", "where"),
    [
        *((address, "private") for address in PRIVATE),
        *((address, "forbidden") for address in FORBIDDEN),
        *((address, "public") for address in PUBLIC),
    ],
)
def test_every_address_has_its_zone(address, where):
    assert zone(address) == where


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_refused_unless_allowed(address):
    guard([address], allow_private=True, encrypted=False)
    with pytest.raises(AddressRefused, match="private") as caught:
        guard([address], allow_private=False, encrypted=True)
    assert address not in str(caught.value)


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("allow_private", [False, True])
def test_forbidden_address_is_refused_even_where_private_ones_are_allowed(address, allow_private):
    with pytest.raises(AddressRefused):
        guard([address], allow_private=allow_private, encrypted=True)


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254"])
def test_one_bad_address_among_good_ones_refuses_the_name(bad):
    with pytest.raises(AddressRefused):
        guard(["8.8.8.8", bad, "1.1.1.1"], allow_private=False, encrypted=True)


def test_public_address_needs_https():
    guard(["8.8.8.8", "2606:4700::1111"], allow_private=False, encrypted=True)
    with pytest.raises(AddressRefused, match="https"):
        guard(["8.8.8.8"], allow_private=False, encrypted=False)


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "::1"])
def test_no_spelling_of_loopback_passes(host):
    addresses = asyncio.run(resolve(host, 80))
    assert addresses
    with pytest.raises(AddressRefused):
        guard(addresses, allow_private=False, encrypted=True)
