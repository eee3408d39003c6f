"""LaneBroker: lanes by weight, never more than there are free threads, nothing lost when a worker stops."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace

import dramatiq
import pytest
from dramatiq.errors import QueueNotFound
from redis import Redis

from actors.broker import LaneBroker, Queue
from gateway.ledger.keys import key

LAYOUT = {
    "runs": Queue(actor="run_event", lanes={"high": 6, "normal": 3, "low": 1}, threads=2),
    "deliveries": Queue(actor="deliver", lanes={"deliveries": 1}, threads=1),
}


@pytest.fixture
def redis(redis_url):
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def make_broker(redis_url):
    brokers = []

    def make(work=print, layout=LAYOUT):
        broker = LaneBroker(redis_url, queues=layout, middleware=[])
        dramatiq.actor(broker=broker, queue_name="runs", actor_name="run_event")(work)
        dramatiq.actor(broker=broker, queue_name="deliveries", actor_name="deliver")(work)
        brokers.append(broker)
        return broker

    return make


def take(consumer, number):
    messages = [next(consumer) for _ in range(number)]
    return [message and message.args[0] for message in messages], [message for message in messages if message]


def test_each_lane_comes_first_as_often_as_it_weighs(make_broker, redis):
    for lane in ("high", "normal", "low"):
        redis.rpush(key("lane", lane), *[lane] * 20)
    consumer = make_broker().consume("runs")
    taken = Counter()
    for _ in range(10):
        (name,), messages = take(consumer, 1)
        taken[name] += 1
        consumer.ack(messages[0])
    assert taken == {"high": 6, "normal": 3, "low": 1}
    consumer.close()


def test_lanes_keep_their_weights_where_many_threads_are_free(make_broker, redis):
    for lane in ("high", "normal", "low"):
        redis.rpush(key("lane", lane), *[lane] * 20)
    runs = replace(LAYOUT["runs"], threads=20)
    consumer = make_broker(layout=LAYOUT | {"runs": runs}).consume("runs")
    names, _ = take(consumer, 20)
    assert Counter(names) == {"high": 12, "normal": 6, "low": 2}
    consumer.close()


def test_no_more_is_taken_than_there_are_threads(make_broker, redis):
    redis.rpush(key("lane", "normal"), "a", "b", "c")
    consumer = make_broker().consume("runs")
    names, messages = take(consumer, 3)
    assert names == ["a", "b", None]
    consumer.ack(messages[0])
    assert take(consumer, 1)[0] == ["c"]
    consumer.close()


def test_a_slow_sink_does_not_hold_the_threads_of_the_runs(make_broker, redis):
    redis.rpush(key("lane", "deliveries"), "d1", "d2")
    redis.rpush(key("lane", "normal"), "r1", "r2", "r3")
    seen, release = [], threading.Event()

    def work(work_id):
        seen.append(work_id)
        if work_id.startswith("d"):
            release.wait(10)

    worker = dramatiq.Worker(make_broker(work), worker_threads=3, worker_timeout=100)
    worker.start()
    end = time.monotonic() + 5
    while len(seen) < 4 and time.monotonic() < end:
        time.sleep(0.01)
    release.set()
    worker.stop()
    assert sorted(seen[:4]) == ["d1", "r1", "r2", "r3"]


def test_what_no_thread_began_is_put_back_when_the_worker_stops(make_broker, redis):
    redis.rpush(key("lane", "high"), "a", "b")
    consumer = make_broker().consume("runs")
    _, messages = take(consumer, 2)
    consumer.requeue(reversed(messages))
    assert redis.lrange(key("lane", "high"), 0, -1) == ["a", "b"]
    consumer.close()


def test_what_was_popped_and_not_given_is_put_back_when_the_worker_stops(make_broker, redis):
    redis.rpush(key("lane", "high"), "a", "b", "c")
    broker = make_broker()
    consumer = broker.consume("runs")
    assert take(consumer, 1)[0] == ["a"]
    broker.draining.set()
    assert take(consumer, 1)[0] == [None]
    assert redis.lrange(key("lane", "high"), 0, -1) == ["b", "c"]
    consumer.close()


def test_a_consumer_that_is_closed_puts_back_what_it_did_not_give(make_broker, redis):
    redis.rpush(key("lane", "high"), "a", "b", "c")
    consumer = make_broker().consume("runs")
    assert take(consumer, 1)[0] == ["a"]
    consumer.close()
    assert redis.lrange(key("lane", "high"), 0, -1) == ["b", "c"]


def test_a_stopping_worker_takes_nothing_more(make_broker, redis):
    broker = make_broker()
    worker = dramatiq.Worker(broker, worker_threads=3, worker_timeout=100)
    worker.start()
    worker.stop()
    redis.rpush(key("lane", "high"), "a")
    consumer = broker.consume("runs")
    assert next(consumer) is None
    assert redis.llen(key("lane", "high")) == 1
    consumer.close()


def test_a_wake_up_can_be_sent_by_hand_but_not_delayed(make_broker, redis):
    broker = make_broker()
    broker.get_actor("run_event").send("evt_1")
    assert redis.lrange(key("lane", "high"), 0, -1) == ["evt_1"]
    with pytest.raises(ValueError, match="schedule"):
        broker.get_actor("run_event").send_with_options(args=("evt_2",), delay=1000)


def test_a_queue_that_is_none_is_refused(make_broker):
    with pytest.raises(QueueNotFound):
        make_broker().declare_queue("other")


def test_an_outage_of_redis_does_not_end_the_consumer(own_redis):
    server = own_redis()
    broker = LaneBroker(server.url, queues=LAYOUT, middleware=[])
    consumer = broker.consume("runs")
    server.kill()
    assert next(consumer) is None
    server.restart()
    with Redis.from_url(server.url) as client:
        client.rpush(key("lane", "normal"), "a")
    end = time.monotonic() + 10
    names = []
    while not any(names) and time.monotonic() < end:
        names, _ = take(consumer, 1)
    assert names == ["a"]
    consumer.close()
