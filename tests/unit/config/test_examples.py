"""The example files at the root work as they stand, and with everything they only mention."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config import Alerts, Budget, Door, FileRules, Retry, RetryPolicy, load_config, load_models
from gateway.config.alerts import AlertsTable
from gateway.config.budgets import BudgetTable
from gateway.config.door import DoorTable
from gateway.config.models import AliasTable, CandidateTable, CircuitTable, OursTable
from gateway.config.schedules import ScheduleTable
from gateway.config.schemes import SchemeTable
from gateway.config.sink_tables import (
    ChatTable,
    FileTable,
    HeaderTable,
    ObjectTable,
    RotateTable,
    SqlTable,
    WebhookTable,
)
from gateway.config.sources import DedupeTable, RetryTable, SourceTable
from gateway.ledger.event import Limit

ROOT = Path(__file__).parents[3]
KEY = "whsec_" + "Q0FOQVJZ" * 4


@pytest.fixture
def uncommented(tmp_path):
    """Both examples, with every setting that they only mention taken into use."""
    text = (ROOT / "hookmill.toml").read_text(encoding="utf-8")
    (tmp_path / "hookmill.toml").write_text(re.sub(r"(?m)^#(?=\S)", "", text), encoding="utf-8")
    text = (ROOT / "models.yaml").read_text(encoding="utf-8")
    (tmp_path / "models.yaml").write_text(re.sub(r"(?m)^#(?=  )", "", text), encoding="utf-8")
    (tmp_path / "shop.secret").write_text("shop-CANARY\n")
    return tmp_path


def test_the_example_needs_one_secret_only():
    config = load_config(ROOT / "hookmill.toml", {"BLOG_SECRET": KEY})
    assert list(config.sources) == ["blog"]
    assert config.sources["blog"].sinks == ("results",)
    assert config.sinks["results"].path == ROOT / "results.jsonl"


def test_the_example_models_need_no_key():
    aliases = load_models(ROOT / "models.yaml", {}).aliases
    assert {alias.name for alias in aliases.values()} == {"fast", "smart", "lexicon"}
    assert {one.model for alias in aliases.values() for one in alias.candidates} == {"local/lexicon"}


def test_what_the_example_only_mentions_are_the_defaults(uncommented):
    plain = load_config(ROOT / "hookmill.toml", {"BLOG_SECRET": KEY}).sources["blog"]
    config = load_config(uncommented / "hookmill.toml", {"BLOG_SECRET": KEY, "N8N_SECRET": KEY, "N8N_TOKEN": "t"})
    blog, scheme = config.sources["blog"], plain.scheme
    assert blog.limit == Limit(count=600, period=blog.limit.period, burst=600)
    wanted = replace(plain, tolerance=scheme.tolerance, dedupe_by=scheme.dedupe, retry=blog.retry)
    assert replace(blog, limit=None) == wanted
    assert config.schedules["pulse"].source == "blog"
    assert RetryPolicy.of(blog.retry) == RetryPolicy() == RetryPolicy.of(Retry())
    assert config.door == Door()
    assert config.budget == Budget(day=10.0, month=200.0)
    assert config.alerts == Alerts(sink="n8n", dead=100, growth=(20, timedelta(minutes=10)))
    n8n, results = config.sinks["n8n"], config.sinks["results"]
    assert results == FileRules(name="results", path=uncommented / "results.jsonl")
    assert (n8n.timeout, n8n.retry) == (results.timeout, results.retry)
    assert (n8n.concurrency, n8n.rate) == (10, (15, timedelta(seconds=1)))
    assert config.sources["shop"].scheme.header == "X-Shop-Signature"


def test_what_the_models_only_mention_can_be_used(uncommented):
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GEMINI_API_KEY_2")
    aliases = load_models(uncommented / "models.yaml", dict.fromkeys(names, "CANARY")).aliases
    assert set(aliases) == {"fast", "smart", "lexicon", "gpt-mini", "haiku", "flash", "llama", "flash#2"}
    assert {one.pool for one in aliases["flash"].candidates} == {"flash"}
    assert aliases["lexicon"].candidates[0].max_concurrent == 20


@pytest.mark.parametrize(
    "table",
    [
        *(AlertsTable, BudgetTable, DoorTable, SourceTable, DedupeTable, RetryTable, ScheduleTable),
        *(SchemeTable, WebhookTable, HeaderTable, FileTable, RotateTable, ObjectTable, SqlTable, ChatTable),
    ],
)
def test_every_key_stands_in_the_example(table):
    text = (ROOT / "hookmill.toml").read_text(encoding="utf-8")
    assert [key for key in table.model_fields if not re.search(rf"\b{key}\b", text)] == []


@pytest.mark.parametrize("table", [OursTable, AliasTable, CandidateTable, CircuitTable])
def test_every_key_stands_in_the_example_models(table):
    text = (ROOT / "models.yaml").read_text(encoding="utf-8")
    assert [key for key in table.model_fields if not re.search(rf"\b{key}:", text)] == []
