"""A Redis that takes no writes for now is an outage that is waited out, not an error that ends what was paid for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ledger import LedgerDown, open_ledger
from gateway.ledger.lanes import Lanes

pytestmark = pytest.mark.anyio


@pytest.fixture
def refusing(own_redis):
    """A primary whose replicas are away."""
    return own_redis(min_replicas_to_write="1").url


async def test_a_script_that_is_refused_for_now_may_be_repeated(refusing, admission):
    ledger = await open_ledger(refusing)
    with pytest.raises(LedgerDown, match="takes no writes"):
        await ledger.admit([admission()])
    await ledger.redis.config_set("min-replicas-to-write", 0)
    (verdict,) = await ledger.admit([admission()])
    assert verdict.outcome == "accepted"
    await ledger.close()


def test_a_consumer_of_lanes_waits_for_it(refusing):
    lanes = Lanes(refusing, block=timedelta(milliseconds=50))
    with pytest.raises(LedgerDown, match="takes no writes"):
        lanes.pop(["normal"])
    lanes.close()
