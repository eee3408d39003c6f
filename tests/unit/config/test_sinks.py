from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.ledger.slots import CircuitRule

BLOG = '[sources.blog]\nscheme = "standard"\nsecrets = ["env:BLOG_SECRET"]\npipeline = "triage"\n'
WEBHOOK = BLOG + '[sinks.n8n]\nkind = "webhook"\nurl = "https://example.com/h?t=CANARY"\nsecret = "env:BLOG_SECRET"\n'
FILE = BLOG + '[sinks.n8n]\nkind = "file"\n'


def test_a_webhook_sink_needs_only_url_and_secret(config):
    sink = config(WEBHOOK).sinks["n8n"]
    assert (sink.name, sink.kind, sink.url) == ("n8n", "webhook", "https://example.com/h?t=CANARY")
    assert (sink.jwt, sink.rate, sink.circuit) == (None, None, CircuitRule())
    assert [secret.origin for secret in sink.secrets] == ["env:BLOG_SECRET"]
    assert (sink.header, sink.allow_private, sink.timeout, sink.concurrency) == (None, False, timedelta(seconds=15), 8)
    assert [wait.total_seconds() for wait in sink.retry] == [5, 30, 120, 600, 1800, 7200, 21600, 43200]


def test_every_key_of_a_webhook_sink_is_read(config):
    text = (
        WEBHOOK.replace("secret = ", "secrets = [").rstrip()
        + """, "env:BLOG_SECRET"]
header = { name = "X-Auth", value = "env:N8N_TOKEN" }
allow_private = true
timeout = "1s"
concurrency = 2
retry = ["1s", "2m"]
jwt = "env:JWT_KEY"
rate = "15/second"
circuit = { failures = 3, open_for = "5s" }
"""
    )
    env = {"BLOG_SECRET": "whsec_" + "Q0FOQVJZ" * 4, "N8N_TOKEN": "token-CANARY", "JWT_KEY": "CANARY" * 6}
    sink = config(text, env=env).sinks["n8n"]
    name, value = sink.header
    assert (name, value.reveal()) == ("X-Auth", "token-CANARY")
    assert (len(sink.secrets), sink.allow_private, sink.timeout, sink.concurrency) == (2, True, timedelta(seconds=1), 2)
    assert sink.retry == (timedelta(seconds=1), timedelta(minutes=2))
    assert (sink.jwt.reveal(), sink.rate) == ("CANARY" * 6, (15, timedelta(seconds=1)))
    assert sink.circuit == CircuitRule(failures=3, open_for=timedelta(seconds=5))


def test_a_sink_shows_no_secret_and_no_url(config):
    text = WEBHOOK + 'header = { name = "X-Auth", value = "env:N8N_TOKEN" }'
    assert "CANARY" not in repr(config(text))


def test_a_file_sink_starts_at_the_configuration(config, tmp_path):
    assert config(FILE + 'path = "out/r.jsonl"').sinks["n8n"].path == tmp_path / "out" / "r.jsonl"
    assert config(FILE + 'path = "/var/r.jsonl"').sinks["n8n"].path.as_posix() == "/var/r.jsonl"


def test_retry_may_be_none_at_all(config):
    assert config(FILE + 'path = "r"\nretry = []').sinks["n8n"].retry == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE, "path: missing; expected the path of the file to append to"),
        (FILE + 'path = "r"\nurl = "http://x"', "url: unknown key"),
        (WEBHOOK + 'path = "r"', "path: unknown key"),
        (WEBHOOK.replace("url = ", "ulr = "), "url: missing; expected a URL such as https://example.com/hook"),
        (
            WEBHOOK.replace("https", "ftp"),
            "url: expected a URL that starts with http:// or https:// and a host, got scheme 'ftp'",
        ),
        (
            WEBHOOK.replace("secret = ", "#"),
            'secrets: missing; expected at least one, such as ["env:NAME"] or ["file:PATH"]',
        ),
        (WEBHOOK.replace("BLOG_SECRET", "N8N_TOKEN"), "secret: env:N8N_TOKEN is not valid base64"),
        (WEBHOOK + 'header = { name = "X-Auth" }', "header.value: missing; expected env:NAME or file:PATH"),
        (
            WEBHOOK + 'header = { name = "X-Auth", value = "CANARY" }',
            "header.value: secrets only as env:NAME or file:PATH",
        ),
        (WEBHOOK + 'header = "X-Auth: CANARY"', "header: expected a table, got a text"),
        (
            WEBHOOK + 'header = { name = "Webhook-Id", value = "env:N8N_TOKEN" }',
            "header.name: expected a header that the sink does not write itself, got 'Webhook-Id'",
        ),
        (
            WEBHOOK + 'header = { name = "X-Auth", value = "env:LINES" }',
            "header.value: expected printable ASCII, as HTTP headers carry it; env:LINES has more",
        ),
        (WEBHOOK + 'jwt = "env:N8N_TOKEN"', "jwt: expected a key of at least 32 bytes; env:N8N_TOKEN has less"),
        (
            WEBHOOK + 'jwt = "env:BLOG_SECRET"\nheader = { name = "authorization", value = "env:N8N_TOKEN" }',
            "jwt: expected either jwt or a header that is Authorization, got both",
        ),
        (WEBHOOK + "circuit = { failure = 3 }", "circuit.failure: unknown key; did you mean 'failures'?"),
        (
            WEBHOOK + 'retry = ["5"]',
            'retry[0]: expected a duration such as "5m" or "250ms" (ms, s, m, h, d), got \'5\'',
        ),
        (
            WEBHOOK.replace('"webhook"', '"wehbook"'),
            "kind: expected one of chat, file, object, sql, webhook, got 'wehbook'; did you mean 'webhook'?",
        ),
        (
            WEBHOOK.replace('kind = "webhook"', ""),
            "kind: expected one of chat, file, object, sql, webhook, which is missing",
        ),
    ],
)
def test_a_mistake_is_one_line(config, mistakes, text, said):
    env = {"BLOG_SECRET": "whsec_" + "Q0FOQVJZ" * 4, "N8N_TOKEN": "token-CANARY", "LINES": "CANARY\nX: y"}
    lines = mistakes(config, text, env=env)
    assert f"hookmill.toml: sinks.n8n.{said}" in lines
    assert all(line.startswith(("hookmill.toml: sinks.n8n.", "hookmill.toml: sources.blog.")) for line in lines)


def test_a_sink_must_be_a_table(config, mistakes):
    assert mistakes(config, BLOG + "[sinks]\nn8n = 5") == ["hookmill.toml: sinks.n8n: expected a table, got a number"]


def test_a_source_may_name_a_sink_that_has_mistakes_of_its_own(config, mistakes):
    assert mistakes(config, BLOG + 'sinks = ["n8n"]\n' + FILE.removeprefix(BLOG)) == [
        "hookmill.toml: sinks.n8n.path: missing; expected the path of the file to append to"
    ]
