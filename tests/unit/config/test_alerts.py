from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.config import Alerts, ConfigError, load_config

BASE = """
[sources.blog]
scheme = "bearer"
secret = "env:S"
pipeline = "triage"
[sinks.ops]
kind = "file"
path = "ops.jsonl"
"""


@pytest.fixture
def load(tmp_path):
    def make(written):
        (tmp_path / "hookmill.toml").write_text(BASE + written)
        return load_config(tmp_path / "hookmill.toml", {"S": "a-long-enough-secret-for-a-test"}).alerts

    return make


def test_without_the_table_nobody_is_told(load):
    assert load("") is None


def test_a_count_a_growth_or_both_are_taken(load):
    assert load('[alerts]\nsink = "ops"\ndead = 100') == Alerts(sink="ops", dead=100)
    both = load('[alerts]\nsink = "ops"\ndead = 5\ngrowth = "20/10m"\nrepeat = "6h"')
    assert both == Alerts(sink="ops", dead=5, growth=(20, timedelta(minutes=10)), repeat=timedelta(hours=6))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("dead = 1", "alerts.sink: missing; expected the name of a sink"),
        ('sink = "opps"\ndead = 1', "alerts.sink: no [sinks.*] is named 'opps'; did you mean 'ops'?"),
        ('sink = "ops"', 'alerts: expected dead = 100, growth = "20/10m", or both'),
        ('sink = "ops"\ndead = 0', "alerts.dead: expected a whole number from 1"),
        ('sink = "ops"\ngrowth = "20"', "alerts.growth: expected a rate"),
        ('sink = "ops"\ngrowth = "20/30d"', "alerts.growth: expected a time of at most 7 days"),
        ('sink = "ops"\ndead = 1\nrepeat = "5s"', "alerts.repeat: expected at least a minute"),
        ('sink = "ops"\ndaed = 1', "alerts.daed: unknown key; did you mean 'dead'?"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(load, written, said):
    with pytest.raises(ConfigError) as refused:
        load(f"[alerts]\n{written}")
    assert said in str(refused.value)
