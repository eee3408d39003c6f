"""Every Redis key of Hookmill, in one place: the scripts get these names from here and know no other.

All share one hash tag, so that a Redis Cluster keeps them in one slot, and carry the version of their layout.
"""

from __future__ import annotations

TAG = "{hookmill:1}"
"""Hash tag and layout version; a new layout gets a new number and a migration."""

KEYS = {
    # An accepted event: hash `record` (JSON), `body` (raw bytes). TTL once its run and deliveries are over.
    "event": f"{TAG}:event:",
    # A run (evt_…) or a delivery (dlv_…): hash of its state; gateway/README.md lists the fields. TTL as its event.
    "work": f"{TAG}:work:",
    # Saved outputs of a run: hash step -> JSON. Deleted with the last delivery.
    "checkpoints": f"{TAG}:checkpoints:",
    # What each step took and which model answered: hash step -> JSON. TTL as its event.
    "steps": f"{TAG}:steps:",
    # Wake-ups ready for a worker: list of ids. Bounded by the sum of the groups' caps.
    "lane": f"{TAG}:lane:",
    # A group is a source's runs (`source:blog`) or a sink's deliveries (`sink:n8n`): hash cap, lane, pipeline. Kept:
    # one per configured source and sink.
    "group": f"{TAG}:group:",
    "groups": f"{TAG}:groups",
    # Work of a group that its cap holds back: list of ids, bounded by the source's max_backlog.
    "backlog": f"{TAG}:backlog:",
    # Work of a group that is in its lane or running: set of ids, bounded by the cap.
    "active": f"{TAG}:active:",
    # When to look at a work again, in ms: woken + a lease, end of its lease, or the end of its wait. Zset of ids.
    "due": f"{TAG}:due",
    # First event with this id, or this MAC: 65,536 buckets of each, hash mark -> when to forget it, body mark, event
    # id. TTL as the longest-lived entry; what has expired is taken out as the bucket grows.
    "dedupe": f"{TAG}:dedupe:",
    "nonce": f"{TAG}:nonce:",
    # GCRA's theoretical arrival time of a source, in µs: string. TTL until it is in the past.
    "rate": f"{TAG}:rate:",
    # Newest events by time of receipt, and dead letters by time of death: zsets, trimmed by the sweeper.
    "index": f"{TAG}:events",
    "dead": f"{TAG}:dead",
    # What ops paused: set of `source:…`, `pipeline:…`, `sink:…`. Kept until resumed.
    "paused": f"{TAG}:paused",
    # Outcomes counted since the beginning: hash. Kept: a dozen fields.
    "counts": f"{TAG}:counts",
    # Up to which due time each schedule was admitted, in ms: hash name -> ms. Kept: one per schedule ever configured.
    "schedules": f"{TAG}:schedules",
    # When the sweeper last ran, in ms: string. TTL 1 day.
    "swept": f"{TAG}:swept",
    # Who replayed, discarded, paused or resumed what: list of JSON, the newest first. Capped at 10,000.
    "audit": f"{TAG}:audit",
    # The last notice of its kind: string, its event. TTL until the next of that kind may come. A handful of kinds.
    "alerted": f"{TAG}:alerted:",
    # Calls in flight per model candidate (zset token -> end of lease), those who wait for one, and the circuit (hash)
    # of its pool. `minute`: the calls of the last minute by time, TTL a minute; `pace`: hash of their tokens, of what a
    # call takes, of when the candidate rests, TTL a day. Candidates: set, kept, one per candidate that was ever called.
    # Sinks have the same, as `sink:NAME`, and with a rate `sink:NAME rate`, whose slots last for the rate's period.
    "candidates": f"{TAG}:candidates",
    "slots": f"{TAG}:slots:",
    "waiters": f"{TAG}:waiters:",
    "circuit": f"{TAG}:circuit:",
    "minute": f"{TAG}:minute:",
    "pace": f"{TAG}:pace:",
    # Answers of models that may be given again: string, JSON under the hash of its question. TTL as its step says, at
    # most 30 days.
    "answers": f"{TAG}:answers:",
    # What a sink answered to the last attempt of a delivery that failed: string, JSON. TTL as a finished event, or as a
    # dead letter.
    "receipt": f"{TAG}:receipt:",
    # What models cost, in billionths of a US dollar: hash of a day, or of a month, name -> spent, and what is reserved.
    # TTL 62 and 400 days. A dozen fields for each source, pipeline and model.
    "spent": f"{TAG}:spent:",
    # What asks of a run cost whose step was not saved: hash `cost`, in billionths of a US dollar. TTL 62 days.
    "unsaved": f"{TAG}:unsaved:",
    # Calls whose cost is in the books: string. TTL a minute, in which it may be told again.
    "settled": f"{TAG}:settled:",
    # Workers by the time of their last sweep, in ms: zset. Those unseen for a minute are dropped.
    "workers": f"{TAG}:workers",
    # Whose turn it is to do what one process does for all: string. TTL until the next turn.
    "duty": f"{TAG}:duty:",
    # API tokens: hash sha256 -> JSON name, scopes, expiry. Kept until revoked.
    "tokens": f"{TAG}:tokens",
}

LANES = ("high", "normal", "low", "deliveries")


def key(kind: str, name: str = "") -> str:
    """Give the key of that kind, with the name appended; KeyError for a kind that is not declared above."""
    return KEYS[kind] + name
