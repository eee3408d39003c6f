"""How refusals are rendered."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re

import pytest
from starlette.exceptions import HTTPException

from gateway import errors
from gateway.errors import Overloaded, Rejection
from gateway.ledger import LedgerDown
from gateway.problem import InternalError, Problems, extra_headers, refusal, render

REJECTIONS = [
    one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Rejection) and one is not Rejection
]


@pytest.mark.parametrize("kind", [*REJECTIONS, InternalError])
def test_every_rejection_is_a_problem_with_its_code(kind):
    response = render(kind(), headers={})
    content = json.loads(response.body)
    assert dict(response.headers)[b"content-type"] == b"application/problem+json"
    assert (content["status"], content["code"]) == (response.status, kind.code)
    assert content["detail"]
    assert re.fullmatch(r"[a-z_]+", content["code"])


def test_codes_are_unique():
    assert len({kind.code for kind in REJECTIONS}) == len(REJECTIONS)


@pytest.mark.parametrize(("seconds", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (29.1, "30")])
def test_retry_after_is_in_whole_seconds_and_never_too_early(seconds, told):
    rejection = Overloaded(retry_after=seconds)
    assert extra_headers(rejection, source=None)["Retry-After"] == told


def test_what_the_router_raises_becomes_ours():
    assert refusal(HTTPException(404)).code == "not_found"
    assert refusal(HTTPException(405)).code == "method_not_allowed"
    assert refusal(LedgerDown("x")).code == "ledger_unavailable"


def run(raised, *, begun=False):
    sent = []

    async def app(_scope, _receive, send):
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise raised

    async def send(message):
        sent.append(message)

    asyncio.run(Problems(app)({"type": "http", "headers": ()}, None, send))
    return sent


def test_no_text_of_an_unexpected_error_reaches_the_sender_or_the_log(caplog):
    with caplog.at_level(logging.DEBUG):
        start, body = run(KeyError("a secret"))
    assert start["status"] == 500
    assert json.loads(body["body"])["code"] == "internal_error"
    assert b"secret" not in body["body"]
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_after_the_response_has_begun_nothing_is_added_to_it():
    assert [message["type"] for message in run(KeyError("x"), begun=True)] == ["http.response.start"]
