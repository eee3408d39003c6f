from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gateway.cli.demo_events import make_posts
from gateway.cli.demo_receiver import Inbox, Receiver
from gateway.cli.demo_report import Outcome, outcomes_table, promises, summary
from gateway.cli.init import whsec
from gateway.cli.send import Answer
from gateway.errors import Rejection
from gateway.ledger import CandidateView, Stats
from gateway.verify import SCHEMES, sign, verify

SECRETS = {"github": b"gh", "stripe": b"whsec_stripe", "slack": b"sl", "standard": whsec().encode()}


@pytest.fixture
def posts(now):
    return make_posts(SECRETS, now)


def judge(post, now):
    scheme = SCHEMES[post.source]
    signed = sign(scheme, post.secret, post.body, now=post.signed_at, event_id=post.event_id)
    headers = [(name.lower().encode(), value.encode()) for name, value in [*signed, *post.headers]]
    return verify(scheme, [SECRETS[post.source]], headers, post.body, now=now)


def test_the_demo_posts_forty_events_and_every_kind(posts):
    kinds = Counter(post.kind for post in posts)
    assert kinds["new"] + kinds["burst"] >= 40
    assert {"duplicate", "forged", "stale", "handshake"} <= set(kinds)
    assert {post.source for post in posts} == set(SECRETS)


def test_posts_are_genuine_unless_they_mean_not_to_be(posts, now):
    for post in posts:
        if post.kind in {"forged", "stale"}:
            with pytest.raises(Rejection) as rejected:
                judge(post, now)
            expected = "signature_invalid" if post.kind == "forged" else "timestamp_out_of_tolerance"
            assert rejected.value.code == expected
        else:
            verified = judge(post, now)
            assert (verified.challenge is not None) == (post.kind == "handshake")
            assert verified.challenge or verified.dedupe_id == post.event_id


def test_new_events_have_ids_and_bodies_of_their_own(posts):
    new = [post for post in posts if post.kind in {"new", "burst"}]
    assert len({(post.source, post.event_id) for post in new}) == len(new)
    assert len({post.body for post in new}) == len(new)


@pytest.fixture
def kept(posts, run, delivery, step):
    """A demo in which all went well: outcomes, inbox, ids in the ledger."""
    inbox, outcomes, ids = Inbox(secret=b"unused"), [], {}
    for number, post in enumerate(posts):
        event_id = ids.get((post.source, post.event_id), f"evt_{number}")
        if post.kind == "burst" and number % 4 == 0:
            outcomes.append(Outcome(post=post, answer=Answer(status=429, body={"code": "rate_limited"})))
        elif post.kind in {"forged", "stale"}:
            code = {"forged": "signature_invalid", "stale": "timestamp_out_of_tolerance"}[post.kind]
            outcomes.append(Outcome(post=post, answer=Answer(status=401, body={"code": code})))
        elif post.kind == "handshake":
            outcomes.append(Outcome(post=post, answer=Answer(status=200)))
        else:
            ids[post.source, post.event_id] = event_id
            view = run(
                "done", id=event_id, steps=(step("label", candidate="demo", degraded=number % 2 == 0),),
                deliveries=(delivery("delivered", id=f"dlv_{event_id}", attempts=number % 2),),
            )  # fmt: skip
            body = {"event_id": event_id, "state": "queued", "duplicate": post.kind == "duplicate"}
            outcomes.append(Outcome(post=post, answer=Answer(status=202, body=body), view=view))
            if post.kind != "duplicate":
                inbox.tries[f"dlv_{event_id}"] = inbox.taken[f"dlv_{event_id}"] = 1
                inbox.event_of[f"dlv_{event_id}"] = event_id
    return outcomes, inbox, set(ids.values())


def broken(outcomes, inbox, stored):
    return {promise.text for promise in promises(outcomes, inbox, stored) if not promise.kept}


def test_a_good_demo_keeps_every_promise(kept):
    assert broken(*kept) == set()


def test_a_lost_event_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    outcomes[0] = replace(outcomes[0], view=None)
    assert broken(outcomes, inbox, stored) == {"every accepted event reached its end, delivered"}


def test_an_event_without_its_delivery_breaks_a_promise(kept, run):
    outcomes, inbox, stored = kept
    outcomes[0] = replace(outcomes[0], view=run("done"))
    assert broken(outcomes, inbox, stored) == {"every accepted event reached its end, delivered"}


def test_a_second_arrival_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    inbox.taken["dlv_evt_0"] += 1
    assert broken(outcomes, inbox, stored) == {"every result arrived exactly once, signed"}


def test_a_second_delivery_of_one_event_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    inbox.event_of["dlv_other"] = "evt_0"
    assert broken(outcomes, inbox, stored) == {"every result arrived exactly once, signed"}


def test_a_duplicate_that_became_an_event_breaks_promises(kept):
    outcomes, inbox, stored = kept
    at = next(n for n, one in enumerate(outcomes) if one.post.kind == "duplicate")
    body = {"event_id": "evt_new", "duplicate": False}
    outcomes[at] = replace(outcomes[at], answer=Answer(status=202, body=body))
    assert "a duplicate had no second effect" in broken(outcomes, inbox, stored)


def test_a_stored_refusal_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    assert broken(outcomes, inbox, stored | {"evt_ghost"}) == {"what was refused stored nothing"}


def test_a_forgery_let_in_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    at = next(n for n, one in enumerate(outcomes) if one.post.kind == "forged")
    outcomes[at] = replace(outcomes[at], answer=Answer(status=200))
    assert "every event was answered as it should be" in broken(outcomes, inbox, stored)


def test_a_burst_that_was_never_limited_breaks_a_promise(kept):
    outcomes, inbox, stored = kept
    unlimited = [one for one in outcomes if one.answer.status != 429]
    assert broken(unlimited, inbox, stored) == {"every event was answered as it should be"}


def test_the_table_reads_well_at_100_columns(kept):
    from io import StringIO

    from rich.console import Console

    outcomes, inbox, _ = kept
    out = Console(width=100, file=StringIO(), highlight=False)
    out.print(outcomes_table(outcomes))
    lines = out.file.getvalue().splitlines()
    assert len(lines) == len(outcomes) + 1  # none is wrapped
    assert any("demo (degraded)" in line for line in lines)
    assert any("delivered at try 2" in line for line in lines)
    assert any("timestamp_out_of_tolerance" in line for line in lines)
    candidate = CandidateView(name="demo", opened=2)
    figures = Stats(
        counts={"duplicate": 4},
        lanes={},
        groups=(),
        candidates=(candidate,),
        scheduled=0,
        dead=0,
        paused=(),
        paused_by={},
        workers={},
        memory=1,
        memory_limit=0,
    )
    told = list(summary(outcomes, inbox, figures))
    assert "4 duplicates" in told[0]
    assert told[-1] == "the circuit of model demo opened 2 times: meanwhile nobody called it"


def delivered(inbox, webhook_id, *, secret):
    body = json.dumps({"event_id": f"evt_of_{webhook_id}"}).encode()
    signed = sign(SCHEMES["standard"], secret, body, now=datetime.now(UTC), event_id=webhook_id)
    with httpx.Client(timeout=5) as client:
        return client.post(inbox, content=body, headers=signed).status_code


def test_the_receiver_is_down_now_and_then_and_checks_signatures():
    secret = whsec().encode()
    inbox = Inbox(secret=secret)
    with Receiver(inbox) as receiver:
        statuses = [delivered(receiver.url, f"dlv_{number}", secret=secret) for number in range(4)]
        assert statuses == [204, 204, 204, 503]
        assert delivered(receiver.url, "dlv_3", secret=secret) == 204
        assert delivered(receiver.url, "dlv_9", secret=whsec().encode()) == 401
    assert inbox.taken == {f"dlv_{number}": 1 for number in range(4)}
    assert inbox.event_of["dlv_3"] == "evt_of_dlv_3"
    assert inbox.refused == ["signature_invalid"]


def test_a_forger_learns_nothing_from_an_old_delivery(now):
    secret = whsec().encode()
    signed = sign(SCHEMES["standard"], secret, b"{}", now=now - timedelta(hours=1), event_id="dlv_1")
    headers = [(name.encode(), value.encode()) for name, value in signed]
    assert Inbox(secret=secret).take(headers, b"{}", now) == 401
