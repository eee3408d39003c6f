from __future__ import annotations

import dataclasses
import inspect
from datetime import UTC, datetime, timedelta

import pytest

from gateway.config import load_config, load_models
from gateway.config.retry import Retry, RetryPolicy
from gateway.config.schemes import SchemeTable
from gateway.errors import SignatureInvalid
from gateway.ledger.event import Limit
from gateway.verify import SCHEMES, Dated, sign, template, verify

BEFORE = "hookmill.toml: sources.blog"
NAMES = "a scheme (`hookmill schemes` lists them), or a table"


def test_a_source_needs_only_scheme_secrets_and_pipeline(config):
    source = config().sources["blog"]
    assert source.scheme is SCHEMES["standard"]
    assert (source.name, source.pipeline, source.sinks, source.limit) == ("blog", "triage", (), None)
    assert source.max_body == SCHEMES["standard"].max_body
    assert (source.tolerance, source.dedupe_by, source.idempotent) == (None, None, False)
    assert (source.dedupe_ttl, source.replay) == (timedelta(days=7), timedelta(minutes=10))
    assert (source.concurrency, source.max_backlog, source.priority) == (20, 10_000, "normal")
    assert (source.success, source.reply) == (202, "id")
    assert (source.body_timeout, source.timeout) == (timedelta(seconds=5), timedelta(minutes=10))
    assert source.retry == Retry()
    policy = RetryPolicy.of(source.retry)
    assert policy == RetryPolicy(attempts=5, first=timedelta(seconds=1), factor=2.0, cap=timedelta(minutes=5))


def test_every_key_of_a_source_is_read(config):
    source = config(
        lines="""
        tolerance = "1m"
        limit = "600/minute"
        burst = 50
        dedupe = { ttl = "1d", by = "json:/id", idempotent = true }
        replay = "1h"
        concurrency = 3
        max_body = "1MiB"
        max_backlog = 7
        priority = "high"
        success = 200
        reply = "status"
        body_timeout = "2s"
        timeout = "1m"
        retry = { attempts = 2, first = "3s", factor = 1.5, cap = "4s" }
        """
    ).sources["blog"]
    assert source.limit == Limit(count=600, period=timedelta(minutes=1), burst=50)
    assert (source.dedupe_ttl, source.dedupe_by, source.idempotent) == (timedelta(days=1), "json:/id", True)
    assert (source.tolerance, source.replay) == (timedelta(minutes=1), timedelta(hours=1))
    assert (source.concurrency, source.max_body, source.max_backlog) == (3, 2**20, 7)
    assert (source.priority, source.success, source.reply) == ("high", 200, "status")
    assert (source.body_timeout, source.timeout) == (timedelta(seconds=2), timedelta(minutes=1))
    assert source.retry == Retry(attempts=2, first=timedelta(seconds=3), factor=1.5, cap=timedelta(seconds=4))


def test_a_source_cannot_be_changed(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().sources["blog"].name = "other"


def test_without_burst_a_whole_period_may_come_at_once(config):
    assert config(lines='limit = "6/minute"').sources["blog"].limit.burst == 6


def test_the_id_of_a_source_is_the_one_its_verifier_finds(config):
    source = config(lines='dedupe.by = "json:/order"').sources["blog"]
    secret, body, now = source.secrets[0].reveal().encode(), b'{"order":"o-7"}', datetime.now(UTC)
    headers = [(n.encode(), v.encode()) for n, v in sign(source.scheme, secret, body, now=now, event_id="m-1")]
    assert verify(source.scheme, [secret], headers, body, now=now).dedupe_id == "o-7"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('limt = "600/minute"', ".limt: unknown key; did you mean 'limit'?"),
        ('"odd\\nkey" = 1', '."odd\\nkey": unknown key'),
        ('dedupe = { tll = "1d" }', ".dedupe.tll: unknown key; did you mean 'ttl'?"),
        ('retry = { frist = "1s" }', ".retry.frist: unknown key; did you mean 'first'?"),
        ("retry = 5", ".retry: expected a table, got a number"),
        ('retry = { first = "10m" }', ".retry.cap: expected at least first (0:10:00), got 0:05:00"),
        ("retry = { attempts = 0 }", ".retry.attempts: expected a whole number from 1 to 1000, got 0"),
        ("retry = { factor = 0.5 }", ".retry.factor: expected a number from 1 to 100, got 0.5"),
        (
            'tolerance = "5min"',
            '.tolerance: expected a duration such as "5m" or "250ms" (ms, s, m, h, d), got \'5min\'',
        ),
        ("replay = 600", '.replay: expected a duration such as "5m" or "250ms" (ms, s, m, h, d), got 600'),
        (
            'limit = "600/min"',
            ".limit: expected a rate such as \"600/minute\" or \"100/10s\", got '600/min'; did you mean 'minute'?",
        ),
        ("burst = 5", '.burst: expected a limit beside it, such as limit = "600/minute"'),
        (
            'max_body = "256KB"',
            ".max_body: expected a size in B, kB, MB, GB, KiB, MiB, GiB, got '256KB'; did you mean 'kB'?",
        ),
        ('priority = "hihg"', ".priority: expected one of high, normal, low, got 'hihg'; did you mean 'high'?"),
        ("priority = 1", ".priority: expected one of high, normal, low, got 1"),
        ('reply = "staus"', ".reply: expected one of id, status, got 'staus'; did you mean 'status'?"),
        ("success = 301", ".success: expected a whole number from 200 to 299, got 301"),
        ("concurrency = true", ".concurrency: expected a whole number from 1 to 10000, got true"),
        ("max_backlog = []", ".max_backlog: expected a whole number from 1 to 1000000000, got a list"),
        ('dedupe.by = "X-Id"', '.dedupe.by: expected "header:NAME" or "json:/pointer", got \'X-Id\''),
        ("dedupe.idempotent = 1", ".dedupe.idempotent: expected true or false, got 1"),
        ('sinks = "results"', ".sinks: expected a list, got a text"),
        ('sinks = ["result"]', ".sinks[0]: no [sinks.*] is named 'result'; did you mean 'results'?"),
        ('sinks = ["results", "results"]', ".sinks[1]: sink 'results' is named twice"),
        (
            "timeout = 2026-01-01",
            '.timeout: expected a duration such as "5m" or "250ms" (ms, s, m, h, d), got a date or time',
        ),
    ],
)
def test_a_mistake_is_one_line_with_key_expectation_and_nearest_name(config, mistakes, line, said):
    sinks = '\n[sinks.results]\nkind = "file"\npath = "r"\n'
    assert mistakes(config, lines=line + sinks) == [BEFORE + said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'scheme = "gihub"\nsecrets = ["env:BLOG_SECRET"]\npipeline = "p"',
            [
                f".scheme: expected {NAMES}, got 'gihub'; did you mean 'github'?",
            ],
        ),
        (
            "",
            [
                f".scheme: missing; expected {NAMES}",
                '.pipeline: missing; expected a pipeline such as "comment-sentiment" or "app.py:triage"',
            ],
        ),
        ('scheme = "github"\npipeline = " "\nsecrets = []', [".pipeline: expected a text, got ' '"]),
        (
            'scheme = "github"\npipeline = "p"\nsecrets = []',
            ['.secrets: missing; expected at least one, such as ["env:NAME"] or ["file:PATH"]'],
        ),
        (
            'scheme = "github"\npipeline = "p"\nsecrets = ["env:BLOG_SECRET"]\ntolerance = "5m"',
            [".tolerance: expected none, since scheme github signs no time; see replay"],
        ),
        (
            'scheme = "bearer"\npipeline = "p"\nsecrets = ["env:BLOG_SECRET"]\ndedupe.idempotent = true',
            [".dedupe.by: missing; expected one beside idempotent: bearer has no id"],
        ),
    ],
)
def test_scheme_secrets_and_pipeline_are_required_and_must_fit(config, mistakes, text, said):
    assert mistakes(config, f"[sources.blog]\n{text}\n") == [BEFORE + line for line in said]


OLD = 'scheme = "{}"\npipeline = "p"\nsecrets = ["env:BLOG_SECRET", {{ value = "env:OLD", not_after = {} }}]\n'


@pytest.mark.parametrize("written", ['"2026-12-01T00:00:00Z"', "2026-12-01T00:00:00Z", '"2026-12-01T02:00:00+02:00"'])
def test_a_secret_may_have_an_end(config, written):
    text = "[sources.blog]\n" + OLD.format("github", written)
    source = config(text, env={"BLOG_SECRET": "new", "OLD": "old"}).sources["blog"]
    end = datetime(2026, 12, 1, tzinfo=UTC)
    assert source.keys == (Dated(value=b"new"), Dated(value=b"old", not_after=end))
    body, signed = b"{}", sign(source.scheme, b"old", b"{}", now=end, event_id="1")
    headers = [(name.encode(), value.encode()) for name, value in signed]
    verify(source.scheme, source.keys, headers, body, now=end)
    with pytest.raises(SignatureInvalid):
        verify(source.scheme, source.keys, headers, body, now=end + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"soon"', "expected an instant such as \"2026-12-01T00:00:00Z\", with its zone, got 'soon'"),
        ("2026-12-01", 'expected an instant such as "2026-12-01T00:00:00Z", with its zone, got a date or time'),
        (
            '"2026-12-01T00:00:00"',
            "expected an instant such as \"2026-12-01T00:00:00Z\", with its zone, got '2026-12-01T00:00:00'",
        ),
        (
            '"2026-12-01T00:00:00Z", not_afer = 1',
            "unknown key; did you mean 'not_after'?; a secret's table has value and not_after",
        ),
    ],
)
def test_a_mistake_in_a_secrets_table_is_one_line(config, mistakes, written, said):
    text = "[sources.blog]\n" + OLD.format("github", written)
    env = {"BLOG_SECRET": "CANARY", "OLD": "CANARY"}
    assert mistakes(config, text, env=env) == [f"{BEFORE}.secrets[1]: {said}"]


@pytest.mark.parametrize("written", ["{ value = 'CANARY' }", "{ not_after = '2026-12-01T00:00:00Z' }", "{}"])
def test_a_secrets_table_refers_to_its_secret(config, mistakes, written):
    text = f'[sources.blog]\nscheme = "github"\npipeline = "p"\nsecrets = [{written}]\n'
    assert mistakes(config, text) == [f"{BEFORE}.secrets[0]: secrets only as env:NAME or file:PATH"]


def test_there_are_at_most_eight_secrets(config, mistakes):
    listed = ", ".join(['"env:BLOG_SECRET"'] * 9)
    text = f'[sources.blog]\nscheme = "github"\npipeline = "p"\nsecrets = [{listed}]\n'
    assert mistakes(config, text) == [f"{BEFORE}.secrets: expected at most 8, got 9"]


def test_a_public_key_of_a_provider_is_checked(config, mistakes):
    text = '[sources.blog]\nscheme = "discord"\npipeline = "p"\nsecrets = ["env:BLOG_SECRET"]\n'
    assert mistakes(config, text, env={"BLOG_SECRET": "CANARY"}) == [
        f"{BEFORE}.secrets[0]: env:BLOG_SECRET is not a public key for ed25519"
    ]


def with_scheme(name, lines=""):
    return f'[sources.blog]\nscheme = "{name}"\npipeline = "p"\nsecrets = ["env:BLOG_SECRET"]\n{lines}\n'


def test_address_and_verify_token_are_read(config):
    url = "https://hooks.example.com/hooks/blog?Key=%2F"
    assert config(with_scheme("square", f'public_url = "{url}"')).sources["blog"].public_url == url
    token = config(with_scheme("meta", 'verify_token = "env:N8N_TOKEN"')).sources["blog"].verify_token
    assert token.reveal() == "token-CANARY"
    assert config(with_scheme("meta")).sources["blog"].verify_token is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_scheme("square"), ".public_url: missing; expected the URL posted to, since scheme square signs it"),
        (
            with_scheme("github", 'public_url = "https://h/x"'),
            ".public_url: expected none, since scheme github does not sign the URL",
        ),
        (
            with_scheme("github", 'verify_token = "env:N8N_TOKEN"'),
            ".verify_token: expected none, since scheme github asks with none",
        ),
        (
            with_scheme("square", 'public_url = "h/x"'),
            ".public_url: expected a URL that starts with http:// or https:// and a host, got scheme ''",
        ),
    ],
)
def test_address_and_verify_token_have_to_fit_the_scheme(config, mistakes, text, said):
    assert mistakes(config, text) == [BEFORE + said]


SHOP = '[sources.blog]\nsecrets = ["env:BLOG_SECRET"]\npipeline = "p"\n[sources.blog.scheme]\n'


def test_a_scheme_can_be_written_inline(config):
    source = config(
        SHOP + 'header = "X-Sig"\nsigned = "{timestamp}.{body}"\ntimestamp_header = "X-Time"\ntolerance = "1m"'
    ).sources["blog"]
    assert source.scheme == template(
        header="X-Sig", signed="{timestamp}.{body}", timestamp_header="X-Time", tolerance=timedelta(minutes=1)
    )


def test_the_inline_keys_are_those_of_the_template():
    assert list(SchemeTable.model_fields) == list(inspect.signature(template).parameters)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", ".header: missing; expected the name of the header with the signature"),
        ('header = "X-Sig"\ndigets = "sha1"', ".digets: unknown key; did you mean 'digest'?"),
        (
            'header = "X-Sig"\ndigest = "sha265"',
            ".digest: expected one of sha1, sha256, sha512, got 'sha265'; did you mean 'sha256'?",
        ),
        ('header = "X Sig"', ".header: expected the name of an HTTP header, got 'X Sig'"),
        (
            'header = "X-Sig"\nkey = "CANARY"',
            ".key: expected one of raw, hex, base64, whsec: how the text of a secret becomes the key",
        ),
        ('header = "X-Sig"\nsigned = "{timestamp}.{body}"', ".timestamp_header: needed where signed has {timestamp}"),
    ],
)
def test_a_mistake_in_an_inline_scheme_names_its_key(config, mistakes, lines, said):
    assert mistakes(config, SHOP + lines) == [f"{BEFORE}.scheme{said}"]


def test_all_mistakes_are_reported_at_once(config, mistakes):
    text = """
        [source.a]
        [sources.blog]
        scheme = "github"
        secrets = ["env:GONE"]
        pipeline = "p"
        limit = 5
        [sources."a b"]
        [sinks.x]
        kind = "fiel"
    """
    lines = mistakes(config, text, env={})
    assert [line.split(": ")[1] for line in lines] == [
        "source",
        'sources."a b"',
        "sinks.x.kind",
        "sources.blog.secrets[0]",
        "sources.blog.limit",
        'sources."a b".scheme',
        'sources."a b".pipeline',
    ]
    assert lines[0] == "hookmill.toml: source: unknown key; did you mean 'sources'?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sinks]\n", "sources: missing; expected at least one [sources.NAME]"),
        ("sources = 5\n", "sources: expected a table, got a number"),
        ("[sources]\nblog = 5\n", "sources.blog: expected a table, got a number"),
        ("a = 1\nb = \n", "line 2, column 5: not TOML: Invalid value"),
        ("a = 1\na = 2\n", "line 2, column 6: not TOML: Cannot overwrite a value"),
        ("a = 1\nb = '''x", "line 2, end of file: not TOML: Expected \"'''\""),
        ("a = " + "9" * 5000, "not TOML: a number or a nesting is beyond all bounds"),
        ("a = " + "[" * 20_000, "not TOML: a number or a nesting is beyond all bounds"),
    ],
    ids=range(8),
)
def test_a_broken_file_is_one_line_with_its_place(config, mistakes, text, said):
    assert mistakes(config, text) == [f"hookmill.toml: {said}"]


def test_a_missing_file_says_how_to_get_one(mistakes, tmp_path):
    assert mistakes(load_config, tmp_path / "hookmill.toml", {}) == [
        "hookmill.toml: not found; `hookmill init` writes one"
    ]
    assert mistakes(load_models, tmp_path / "models.yaml", {}) == ["models.yaml: not found; `hookmill init` writes one"]


def test_a_file_that_cannot_be_read_says_why(mistakes, tmp_path):
    (tmp_path / "hookmill.toml").mkdir()
    assert mistakes(load_config, tmp_path / "hookmill.toml", {}) == ["hookmill.toml: cannot be read: Is a directory"]
    (tmp_path / "bad.toml").write_bytes(b"a = '\xff'")
    assert mistakes(load_config, tmp_path / "bad.toml", {}) == [
        "bad.toml: expected UTF-8 text, got another byte at offset 5"
    ]
