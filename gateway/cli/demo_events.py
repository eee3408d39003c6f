"""What `hookmill demo` posts: events as GitHub, Stripe, Slack and Standard Webhooks senders really shape them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["new", "duplicate", "forged", "stale", "handshake", "burst"]
Headers = tuple[tuple[str, str], ...]

COMMENTS = {
    "github": (
        "This fixed our flaky builds, thank you so much! Great work.",
        "The new release breaks every import on Windows. This is terrible.",
        "Could you document which Redis versions are supported?",
        "Absolutely love the new dashboard, it is a joy to use.",
        "Still crashes with the same stack trace after the update. Very frustrating.",
        "I bisected it to the commit that touched the retry loop.",
        "Awful regression: our queue was stuck the whole night.",
        "Works perfectly on 3.12, happy to close this.",
        "Please add a flag for the timeout.",
        "Fantastic write-up, this helped the whole team.",
        "The error message is misleading and cost me a day.",
        "Confirmed on main.",
    ),
    "stripe": (
        "Too expensive for what it does, sadly.",
        "Great product, but our project ended. We will be back!",
        "Support never answered, very disappointing.",
        "We only needed it for one quarter.",
        "The mobile app kept crashing. Horrible experience.",
        "Loved it. Moving to the yearly plan instead.",
        "It lacks the export we need.",
        "Billing charged me twice, I am really angry.",
        "Nice service and friendly people.",
        "Switching to our own tool.",
    ),
    "slack": (
        "Deploy went through without a hitch, awesome job everyone!",
        "Checkout is down again, customers are furious.",
        "Lunch at noon?",
        "I hate how slow the search has become.",
        "Huge thanks to the on-call team, brilliant response.",
        "The numbers for October are in the sheet.",
        "This outage was handled badly.",
        "So proud of what we shipped this week.",
        "Can someone restart the staging worker?",
        "Best onboarding I have ever had.",
    ),
    "standard": (
        "Delicious, and it arrived early. Five stars!",
        "The box was crushed and the cup broken. Bad packaging.",
        "Same size as described.",
        "Worst purchase this year, do not buy.",
        "My daughter loves it, wonderful gift.",
        "It is okay.",
        "Cheap plastic, smells awful.",
        "Exactly what I was looking for, perfect!",
        "Colour differs a little from the photo.",
        "Battery died after two days, useless.",
        "Excellent value and quick delivery.",
        "Instructions only in German.",
        "Beautiful design, I am impressed.",
        "Returned it. Refund took ages, poor service.",
        "Good, would order again.",
        "Never again.",
    ),
}  # fmt: skip
PEOPLE = ("mara", "jonas", "aiko", "priya", "luis", "noor", "sam", "elif")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request of the demo: to which source, what it is to show, when it was signed, and with what."""

    source: str
    kind: Kind
    label: str
    event_id: str
    body: bytes = field(repr=False)
    signed_at: datetime
    secret: bytes = field(repr=False)
    headers: Headers = ()


def make_posts(secrets: Mapping[str, bytes], now: datetime) -> list[Post]:
    """Make all posts, in the order in which they are to be sent; the burst is one block at the end."""
    new = [
        _post(source, number, text, secret=secrets[source], now=now)
        for source in ("github", "stripe", "slack")
        for number, text in enumerate(COMMENTS[source])
    ]
    burst = [
        replace(_post("standard", number, text, secret=secrets["standard"], now=now), kind="burst")
        for number, text in enumerate(COMMENTS["standard"])
    ]
    return [*new, *_again(new, now), *_refused(new, now), _handshake(secrets["slack"], now), *burst]


def _again(new: list[Post], now: datetime) -> list[Post]:
    """Redeliver: GitHub the same request, Stripe and Slack signed afresh, as they do."""
    first = {post.source: post for post in reversed(new)}
    last = {post.source: post for post in new}
    later = now + timedelta(seconds=1)
    return [
        *(replace(one["github"], kind="duplicate") for one in (first, last)),
        replace(first["stripe"], kind="duplicate", signed_at=later),
        replace(first["slack"], kind="duplicate", signed_at=later, headers=(("X-Slack-Retry-Num", "1"),)),
    ]


def _refused(new: list[Post], now: datetime) -> list[Post]:
    """Forge: signed with another secret; and replay old requests, whose signature is genuine."""
    sample = {post.source: post for post in new}
    long_ago = now - timedelta(hours=2)
    return [
        _renamed(sample["github"], "forged", secret=b"not the secret that GitHub has"),
        _renamed(sample["stripe"], "forged", secret=b"whsec_bm90IHRoZSBzZWNyZXQgdGhhdCBTdHJpcGUgaGFz"),
        _renamed(sample["stripe"], "stale", signed_at=long_ago),
        _renamed(sample["slack"], "stale", signed_at=long_ago),
    ]


def _renamed(post: Post, kind: Kind, **changes: Any) -> Post:
    """Give it an id of its own, so that nothing but its signature or its age is why it is refused."""
    name = f"{post.event_id}{kind}"
    body = post.body.replace(post.event_id.encode(), name.encode())
    return replace(post, kind=kind, event_id=name, body=body, **changes)


def _handshake(secret: bytes, now: datetime) -> Post:
    body = _json(
        {
            "type": "url_verification",
            "token": "unused",
            "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",
        }
    )
    return Post(
        source="slack", kind="handshake", label="url_verification", event_id="", body=body, signed_at=now, secret=secret
    )


def _post(source: str, number: int, text: str, *, secret: bytes, now: datetime) -> Post:
    event_id, document, label, headers = SHAPES[source](number, text, now)
    return Post(
        source=source,
        kind="new",
        label=label,
        event_id=event_id,
        body=_json(document),
        signed_at=now,
        secret=secret,
        headers=headers,
    )


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


Shape = tuple[str, dict[str, Any], str, Headers]


def _github(number: int, text: str, now: datetime) -> Shape:
    """Shape an issue_comment: https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment."""
    login = PEOPLE[number % len(PEOPLE)]
    event_id = f"72d3162e-cc78-11e3-81ab-4c9367dc{number:04x}"
    document = {
        "action": "created",
        "issue": {
            "number": 1300 + number,
            "title": "Worker loses its lease",
            "state": "open",
            "user": {"login": "octo"},
        },
        "comment": {
            "id": 9007000 + number,
            "user": {"login": login, "type": "User"},
            "created_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "author_association": "CONTRIBUTOR",
            "body": text,
        },
        "repository": {"id": 186853002, "full_name": "octo-org/mill", "private": False},
        "sender": {"login": login, "type": "User"},
    }
    headers = (("X-GitHub-Event", "issue_comment"), ("User-Agent", "GitHub-Hookshot/044aadd"))
    return event_id, document, f"comment by {login}", headers


def _stripe(number: int, text: str, now: datetime) -> Shape:
    """Shape a refund with the customer's words: https://docs.stripe.com/api/events/types#event_types-charge.refunded."""
    event_id = f"evt_1MqqbKLt4dXK03v5{number:04d}"
    charge = {
        "id": f"ch_3MmlLrLkdIwHu7ix{number:04d}",
        "object": "charge",
        "amount": 1099,
        "amount_refunded": 1099,
        "currency": "usd",
        "description": text,
        "paid": True,
        "refunded": True,
        "status": "succeeded",
    }
    document = {
        "id": event_id,
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": int(now.timestamp()),
        "data": {"object": charge},
        "livemode": False,
        "type": "charge.refunded",
    }
    return event_id, document, "refund", (("User-Agent", "Stripe/1.0"),)


def _slack(number: int, text: str, now: datetime) -> Shape:
    """Shape a message: https://docs.slack.dev/reference/events/message."""
    event_id = f"Ev08MFMKH{number:03d}"
    moment = f"{now.timestamp():.6f}"
    document = {
        "token": "unused",
        "team_id": "T123ABC456",
        "api_app_id": "A123ABC456",
        "event": {
            "type": "message",
            "channel": "C123ABC456",
            "user": f"U{number:010d}",
            "text": text,
            "ts": moment,
            "channel_type": "channel",
        },
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(now.timestamp()),
    }
    return event_id, document, "message", (("User-Agent", "Slackbot 1.0"),)


def _standard(number: int, text: str, now: datetime) -> Shape:
    """Shape a review: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    author = PEOPLE[number % len(PEOPLE)]
    document = {
        "type": "comment.created",
        "timestamp": now.isoformat(),
        "data": {"id": f"com_{number:06d}", "author": author, "text": text},
    }
    return f"msg_2KWPBgLlAfxdpx2AI54pPJ85f{number:03d}", document, f"review by {author}", ()


SHAPES: Mapping[str, Callable[[int, str, datetime], Shape]] = {
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "standard": _standard,
}
