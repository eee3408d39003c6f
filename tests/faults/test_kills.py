"""Kill a worker, kill Redis: nothing that was acknowledged is lost, and what is repeated keeps its webhook-id."""

from __future__ import annotations

from bench import kills

from gateway.ledger.ledger import LEASE

EVENTS, LATENCY, LIMIT = 60, 0.5, 10
SLACK = 3.0  # seconds: a sweep a second, a renewal just before the kill, and a loaded machine


def test_a_killed_worker_loses_nothing_and_another_one_goes_on():
    kill = kills.kill_worker(EVENTS, LATENCY, LIMIT, after=1.0)
    assert (kill.accepted, kill.delivered, kill.lost) == (EVENTS, EVENTS, 0)
    assert kill.most_at_once <= LIMIT
    assert kill.orphans > 0, "it was killed at work"
    assert kill.recovery_max <= LEASE.total_seconds() + SLACK
    assert kill.model_calls <= EVENTS + kill.orphans, "only what was in flight is paid again"


def test_a_killed_redis_comes_back_from_its_file_and_nothing_is_lost():
    kill = kills.kill_redis(EVENTS, LATENCY, LIMIT, after=1.0)
    assert (kill.accepted, kill.delivered, kill.lost) == (EVENTS, EVENTS, 0)
    assert kill.most_at_once <= LIMIT
    assert kill.recovery_max <= SLACK
