"""The usual design: a FastAPI endpoint, an HMAC check, `SET NX` for idempotency, Celery's `apply_async`.

It runs in the environment of the peers and imports nothing of ours. REDIS_URL names the broker's database; the ids are
in database 1 of the same server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Annotated

import redis.asyncio
from celery import Celery
from fastapi import FastAPI, Header, HTTPException, Request

KEY = os.environ["BENCH_KEY"].encode()
URL = os.environ["REDIS_URL"]
TOLERANCE = 300
WEEK = 7 * 24 * 3600

app = FastAPI()
celery = Celery("usual", broker=URL)
celery.conf.task_ignore_result = True
ids = redis.asyncio.from_url(URL, db=1)


@celery.task(name="work")
def work(source: str, event_id: str, event: dict) -> None: ...


@app.post("/hooks/{source}", status_code=202)
async def receive(
    source: str,
    request: Request,
    webhook_id: Annotated[str, Header()],
    webhook_timestamp: Annotated[str, Header()],
    webhook_signature: Annotated[str, Header()],
) -> dict:
    body = await request.body()
    mac = hmac.new(KEY, f"{webhook_id}.{webhook_timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(mac).decode()
    if not hmac.compare_digest(expected, webhook_signature):
        raise HTTPException(401, "wrong signature")
    if abs(time.time() - int(webhook_timestamp)) > TOLERANCE:
        raise HTTPException(401, "stale")
    if not await ids.set(f"webhook:{source}:{webhook_id}", 1, nx=True, ex=WEEK):
        return {"event_id": webhook_id, "state": "queued", "duplicate": True}
    work.apply_async(args=[source, webhook_id, json.loads(body)])  # blocks the loop for its round trips, as it is done
    return {"event_id": webhook_id, "state": "queued", "duplicate": False}
