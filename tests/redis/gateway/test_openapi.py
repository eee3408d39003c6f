"""The OpenAPI document is what the gateway does: schemathesis makes requests from it, and checks every answer."""

from __future__ import annotations

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from served import BODY, SECRETS, TOKEN, link, put_token, serve, signed_headers

from gateway import errors
from gateway.openapi import make_document
from gateway.openapi_admin import make_admin_document

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
AUTH = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def served(module_redis, tmp_path_factory):
    served = serve(tmp_path_factory.mktemp("openapi"), module_redis.url)
    put_token(served, scopes=("read", "replay", "admin"))
    for source in ("demo", "other", "asker"):
        body = json.dumps({"source": source}).encode()
        secret = SECRETS["other" if source == "other" else "demo"]
        served.post(source, body, signed_headers(body, secret=secret))
    yield served
    served.stop()


@pytest.fixture(scope="module")
def api(served):
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


@pytest.fixture(scope="module")
def admin(served):
    return schemathesis.openapi.from_url(f"{served.admin_url}/openapi.json")


def operations(document):
    return [(path, method.upper()) for path, found in document["paths"].items() for method in found]


OPERATIONS, OURS = operations(make_document()), operations(make_admin_document())
MANY = settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))


def try_all(operation, attempt):
    """Make that many requests of the operation, those that keep to the document and those that do not."""
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @MANY
        @given(case=operation.as_strategy(generation_mode=mode))
        def attempts(case):
            attempt(case)

        try:
            attempts()
        except Unsatisfiable:  # nothing in the operation can be wrong
            assert mode is GenerationMode.NEGATIVE


def with_a_token(case):
    """Send it as a token's holder; where its headers are what was made wrong, ours would mend it, so not those."""
    assume(not case.meta.is_negative_at(ParameterLocation.HEADER))
    case.call_and_validate(headers=AUTH, checks=CHECKS)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_answers_to_strangers_are_as_the_document_says(api, path, method):
    try_all(api[path][method], lambda case: case.call_and_validate(checks=CHECKS))


@pytest.mark.parametrize("path", [path for path, _ in OPERATIONS if path.startswith("/events")])
def test_answers_to_a_holder_of_a_token_are_as_the_document_says(api, path):
    try_all(api[path]["GET"], with_a_token)


@pytest.mark.parametrize(("path", "method"), OURS)
def test_answers_of_the_admin_listener_are_as_its_document_says(admin, path, method):
    try_all(admin[path][method], lambda case: case.call_and_validate(checks=CHECKS))
    try_all(admin[path][method], with_a_token)


def test_answers_to_a_genuine_sender_are_as_the_document_says(api, served):
    operation = api["/hooks/{source}"]["POST"]

    def attempt(case):
        body = json.dumps(case.body).encode() if isinstance(case.body, (dict, list, str, int, float)) else b""
        response = served.post("demo", body, signed_headers(body))
        operation.validate_response(response)
        assert response.status_code in {200, 202, 400}

    try_all(operation, attempt)


def test_every_refusal_is_in_the_document():
    text = json.dumps([make_document(), make_admin_document()])
    kinds = errors.Rejection.__subclasses__()
    assert [kind.code for kind in kinds if f'"{kind.code}"' not in text] == []


def test_real_answers_have_the_shapes_of_the_document(served, api):
    event_id = served.get("/events?source=other", headers=AUTH).json()["events"][0]["id"]
    work = served.ledger(lambda ledger: ledger.begin(event_id, fence="f")).work
    took = '{"name": "label", "took": 0.1, "at": 1, "model": "fast", "calls": 1}'
    served.ledger(lambda ledger: ledger.checkpoint(work, "label", output=b"1", took=took, total=1))
    served.ledger(lambda ledger: ledger.finish(work, "done", result=b'{"a":[1]}'))
    for path, route in [
        (link(event_id), "/events/{event_id}"),
        ("/events?limit=2", "/events"),
        ("/ready", "/ready"),
        ("/live", "/live"),
    ]:
        for accept in ("*/*", "text/html"):
            response = served.get(path, headers=AUTH | {"Accept": accept})
            assert response.status_code == 200
            api[route]["GET"].validate_response(response)


def test_real_answers_of_the_admin_listener_have_the_shapes_of_its_document(served, admin):
    # The oldest one: it is in its lane, and not in the backlog.
    event_id = served.get("/events?state=queued&limit=200", headers=AUTH).json()["events"][-1]["id"]
    work = served.ledger(lambda ledger: ledger.begin(event_id, fence="f")).work
    served.ledger(lambda ledger: ledger.bury(work, reason="no", error_class="permanent", step="label"))
    for method, path, route, asked in [
        ("GET", "/dead", "/dead", None),
        ("GET", f"/dead/{event_id}", "/dead/{letter_id}", None),
        ("POST", "/dead/discard", "/dead/discard", {"ids": [event_id], "dry_run": True}),
        ("POST", "/dead/replay", "/dead/replay", {"filter": {"source": work.event.source}}),
        ("GET", "/audit", "/audit", None),
        ("POST", "/pause", "/pause", {"kind": "source", "name": "demo"}),
        ("GET", "/costs?day=2026-11-21", "/costs", None),
        ("GET", "/paused", "/paused", None),
        ("POST", "/resume", "/resume", {"kind": "source", "name": "demo"}),
    ]:
        response = served.admin(method, path, json=asked)
        assert response.status_code == 200, response.text
        admin[route][method].validate_response(response)


def test_an_accepted_event_and_its_duplicate_have_the_shapes_of_the_document(served, api):
    headers = signed_headers()
    for status in (201, 200):
        response = served.post("asker", BODY, headers)
        assert response.status_code == status
        api["/hooks/{source}"]["POST"].validate_response(response)
