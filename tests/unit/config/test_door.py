from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network

import pytest

from gateway.config import Door
from gateway.ledger.event import Limit, Wait

BLOG = '[sources.blog]\nscheme = "standard"\nsecrets = ["env:BLOG_SECRET"]\npipeline = "triage"\n'


def test_without_a_gateway_table_the_rules_are_the_defaults(config):
    door = config().door
    assert door == Door()
    assert door.per_address == Limit(count=1200, period=timedelta(minutes=1), burst=1200)
    assert [str(one) for one in door.trusted_proxies] == ["127.0.0.0/8", "::1/128"]
    assert door.wait is None


def test_every_key_of_the_gateway_is_read(config):
    door = config(
        """
        [gateway]
        per_address = "10/second"
        trusted_proxies = ["10.0.0.0/8", "fd00::1"]
        forwarded = "forwarded"
        in_flight = 9
        max_backlog = 8
        streams = 0
        notice = "5s"
        wait_replicas = 2
        wait_timeout = "300ms"
        """
        + BLOG
    ).door
    assert door == Door(
        per_address=Limit(count=10, period=timedelta(seconds=1), burst=10),
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::1")),
        forwarded="forwarded",
        in_flight=9,
        max_backlog=8,
        streams=0,
        notice=timedelta(seconds=5),
        wait_replicas=2,
        wait_timeout=timedelta(milliseconds=300),
    )
    assert door.wait == Wait(replicas=2, within=timedelta(milliseconds=300))


def test_the_limit_per_address_can_be_off(config):
    assert config('[gateway]\nper_address = "off"\n' + BLOG).door.per_address is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("per_adress = 1", "gateway.per_adress: unknown key; did you mean 'per_address'?"),
        ('per_address = "never"', "gateway.per_address: expected a rate such as"),
        ('trusted_proxies = ["10.0.0.1/8"]', "gateway.trusted_proxies[0]: expected a network such as"),
        ("trusted_proxies = [10]", "gateway.trusted_proxies[0]: expected a network"),
        ('trusted_proxies = "10.0.0.0/8"', "gateway.trusted_proxies: expected a list"),
        ('forwarded = "x-real-ip"', "gateway.forwarded: expected one of x-forwarded-for, forwarded"),
        ("in_flight = 0", "gateway.in_flight: expected a whole number from 1"),
        ('notice = "0s"', "gateway.notice: expected a duration"),
        ('wait_timeout = "1s"', 'gateway.wait_timeout: expected at most "900ms"'),
        ("wait_replicas = -1", "gateway.wait_replicas: expected a whole number from 0"),
    ],
)
def test_a_mistake_is_named(config, mistakes, line, said):
    (found,) = mistakes(config, f"[gateway]\n{line}\n{BLOG}")
    assert found.startswith(f"hookmill.toml: {said}")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("limit_status = 500", "limit_status: expected 429 or 503, got 500"),
        ('on_unparsable = "drop"', "on_unparsable: expected one of refuse, quarantine"),
    ],
)
def test_a_mistake_in_a_sources_rule_is_named(config, mistakes, line, said):
    (found,) = mistakes(config, lines=line)
    assert found.startswith(f"hookmill.toml: sources.blog.{said}")


def test_a_source_may_forbid_429_and_keep_what_cannot_be_parsed(config):
    source = config(lines='limit_status = 503\non_unparsable = "quarantine"\n').sources["blog"]
    assert (source.limit_status, source.on_unparsable) == (503, "quarantine")
