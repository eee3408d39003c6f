from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.config import Rotation
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


ENV = {"BLOG_SECRET": "whsec_" + "Q0FOQVJZ" * 4, "TOKEN": "token-CANARY"}


def other(kind, text):
    return f'{BLOG}[sinks.n8n]\nkind = "{kind}"\n{text}'


def test_an_object_sink_takes_the_options_of_its_library_with_secrets_read(config, tmp_path):
    options = 'options = { secret = "env:TOKEN", client_kwargs = { a = 1, b = "env:TOKEN" } }'
    sink = config(other("object", f'url = "out"\nkey = "{{date}}/{{id}}"\n{options}'), env=ENV).sinks["n8n"]
    assert (sink.url, sink.key) == ((tmp_path / "out").as_uri(), "{date}/{id}")
    assert sink.options == {"secret": "token-CANARY", "client_kwargs": {"a": 1, "b": "token-CANARY"}}
    assert "CANARY" not in repr(sink)
    assert sink.target == f"file://{tmp_path}/out/{{date}}/{{id}}"


def test_a_database_is_a_secret_or_a_url_without_a_password(config, tmp_path):
    hidden = config(other("sql", 'url = "env:TOKEN"\ntable = "my_results"'), env=ENV).sinks["n8n"]
    assert (hidden.url.reveal(), hidden.table, hidden.target) == ("token-CANARY", "my_results", "my_results, env:TOKEN")
    written = config(other("sql", 'url = "sqlite:///r.db"')).sinks["n8n"]
    assert written.url.reveal() == f"sqlite:///{tmp_path}/r.db"
    assert config(other("sql", 'url = "sqlite:////r.db"')).sinks["n8n"].url.reveal() == "sqlite:////r.db"


def test_a_file_may_be_rotated_by_size_and_by_time(config):
    sink = config(FILE + 'path = "r"\nrotate = { size = "1MiB", every = "1d" }').sinks["n8n"]
    assert sink.rotate == Rotation(size=2**20, every=timedelta(days=1), keep=10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE + 'path = "r"\nrotate = { keep = 3 }', "rotate: expected size or every, or both"),
        (FILE + 'path = "r"\nrotate = { sise = "1MiB" }', "rotate.sise: unknown key; did you mean 'size'?"),
        (
            other("object", 'url = "out"\nkey = "{source}.json"'),
            "key: expected a key such as \"{source}/{date}/{id}.json\", with {id} in it, got '{source}.json'",
        ),
        (
            other("object", 'url = "out"\nkey = "../{id}"'),
            "key: expected a key such as \"{source}/{date}/{id}.json\", with {id} in it, got '../{id}'",
        ),
        (
            other("object", 'url = "out"\nkey = "{id}{pipline}"'),
            "key: expected {NAME} of id, event_id, source, pipeline, date, got 'pipline'; did you mean 'pipeline'?",
        ),
        (
            other("sql", 'url = "postgresql://u:CANARY@h/d"'),
            "url: expected a URL without password and options; one that has them only as env:NAME or file:PATH",
        ),
        (
            other("sql", 'url = "results.db"'),
            "url: expected env:NAME, file:PATH, or a URL such as sqlite:///results.db",
        ),
        (
            other("sql", 'url = "sqlite:///r.db"\ntable = "r; DROP"'),
            "table: expected a table's name of small letters, digits and '_', at most 63 characters, got 'r; DROP'",
        ),
        (other("chat", 'url = "slack://CANARY"\ntext = "x"'), "url: secrets only as env:NAME or file:PATH"),
        (other("chat", 'url = "env:TOKEN"'), 'text: missing; expected a template such as "{source}: {result.summary}"'),
    ],
)
def test_a_mistake_in_another_kind_is_one_line(config, mistakes, text, said):
    assert mistakes(config, text, env=ENV) == [f"hookmill.toml: sinks.n8n.{said}"]


def test_a_sink_must_be_a_table(config, mistakes):
    assert mistakes(config, BLOG + "[sinks]\nn8n = 5") == ["hookmill.toml: sinks.n8n: expected a table, got a number"]


def test_a_source_may_name_a_sink_that_has_mistakes_of_its_own(config, mistakes):
    assert mistakes(config, BLOG + 'sinks = ["n8n"]\n' + FILE.removeprefix(BLOG)) == [
        "hookmill.toml: sinks.n8n.path: missing; expected the path of the file to append to"
    ]
