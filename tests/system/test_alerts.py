"""Dead letters that pile up are told to a sink by real workers: once, signed, under an id of its own."""

from __future__ import annotations

import asyncio
import json

import pytest
from stack import CONFIG, Stack, until

from gateway.ledger import open_ledger

ALERTS = """
[alerts]
sink = "receiver"
dead = 3
repeat = "1h"
"""


@pytest.fixture
def stack(tmp_path, module_redis):
    with Stack(tmp_path, module_redis.url, pipeline="nobody", config=CONFIG + ALERTS) as made:
        made.start_gateway()
        for _ in range(2):  # however many look, one notice is made
            made.start_worker(runs=4, deliveries=2, wait=False)
        yield made


def test_a_notice_is_delivered_once_and_signed(stack):
    stack.answer = lambda nth: 503 if nth == 1 else 200  # retried like any other delivery
    for number in range(4):
        assert stack.post(json.dumps({"n": number}).encode()).status_code == 202
    until(lambda: stack.delivered, within=60)
    ((told,),) = stack.delivered.values()
    assert (told["type"], told["source"]) == ("hookmill.alert", "_alerts")
    assert (told["result"]["kind"], told["result"]["reason"], told["result"]["dead_threshold"]) == (
        "dead_letters",
        "count",
        3,
    )
    assert told["result"]["dead"] >= 3
    assert list(stack.tries.values()) == [2]
    assert until(lambda: stack.show(told["id"]).state == "delivered")

    async def dead():
        ledger = await open_ledger(stack.redis_url)
        try:
            return [view.source for view in await ledger.dead()]
        finally:
            await ledger.close()

    assert until(lambda: asyncio.run(dead()) == ["blog"] * 4)
