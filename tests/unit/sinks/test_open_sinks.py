from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from fakes.webhook_receiver import Receiver

from actors.sinks import FileSink, WebhookSink, open_sinks
from gateway.config import ConfigError, Secret, load_config

ENV = {"BLOG": "whsec_" + "QUJD" * 8, "N8N": "whsec_" + "REVG" * 8, "TOKEN": "s3cret-token"}
TOML = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG"]
pipeline = "comment-sentiment"
sinks = ["n8n", "log"]
[sinks.n8n]
kind = "webhook"
url = "{url}"
allow_private = true
secret = "env:N8N"
header = {{ name = "X-Auth", value = "env:TOKEN" }}
[sinks.log]
kind = "file"
path = "results.jsonl"
"""


def load(folder, url="http://localhost:5678/webhook/x"):
    path = folder / "hookmill.toml"
    path.write_text(TOML.format(url=url), "utf-8")
    return load_config(path, ENV)


def test_configured_sinks_open_by_name_without_connecting(tmp_path):
    sinks = open_sinks(load(tmp_path))
    assert {name: type(sink) for name, sink in sinks.items()} == {"n8n": WebhookSink, "log": FileSink}
    assert not (tmp_path / "results.jsonl").exists()


def test_opened_sinks_deliver_as_configured(tmp_path, outgoing, now):
    async def run() -> Receiver:
        async with Receiver() as receiver:
            sinks = open_sinks(load(tmp_path, receiver.url))
            for sink in sinks.values():
                await sink.send(outgoing(), now=now)
                await sink.aclose()
            return receiver

    got = asyncio.run(run()).got[0]
    assert got.headers["x-auth"] == "s3cret-token"
    assert got.headers["webhook-signature"].startswith("v1,")
    assert json.loads((tmp_path / "results.jsonl").read_bytes()) == json.loads(got.body)


OTHERS = """
[sources.blog]
scheme = "standard"
secrets = ["env:BLOG"]
pipeline = "comment-sentiment"
[sinks.it]
"""
KINDS = {
    "object": 'kind = "object"\nurl = "objects"',
    "sql": 'kind = "sql"\nurl = "sqlite:///results.db"',
    "chat": 'kind = "chat"\nurl = "env:CHAT"\ntext = "{id}"',
}


def other(folder, text):
    path = folder / "hookmill.toml"
    path.write_text(OTHERS + text, "utf-8")
    return load_config(path, ENV | {"CHAT": "json://127.0.0.1/s3cret", "DATABASE": "mysql://u:s3cret@host/db"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_extra_is_one_line_that_says_how_to_install_it(tmp_path, monkeypatch, kind):
    module = {"object": "fsspec", "sql": "sqlalchemy", "chat": "apprise"}[kind]
    for name in [name for name in sys.modules if name.split(".")[0] == module] + [module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"actors.sinks.{kind}", raising=False)
    monkeypatch.delitem(sys.modules, "actors.sinks.sql_tables", raising=False)
    config = other(tmp_path, KINDS[kind])
    with pytest.raises(ConfigError) as caught:
        open_sinks(config)
    needs = f"kind '{kind}' needs {module}: pip install 'hookmill[{kind}]'"
    assert str(caught.value).startswith(f"{config.path}: sinks.it: kind '{kind}' needs {module}")
    assert str(caught.value).endswith(needs.partition(": ")[2])
    assert len(caught.value.lines) == 1


def test_libraries_are_imported_for_configured_sinks_only():
    code = "import sys, actors.sinks; print(*sorted({'fsspec', 'sqlalchemy', 'apprise'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "object"\nurl = "nowhere://x"', "no store is called 'nowhere'"),
        ('kind = "sql"\nurl = "env:DATABASE"', "its url must be one of postgresql, sqlite"),
        ('kind = "sql"\nurl = "file:hookmill.toml"', "its url is not one of SQLAlchemy"),
        ('kind = "chat"\nurl = "env:BLOG"\ntext = "x"', "its url is not one of Apprise"),
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error_that_does_not_show_it(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        open_sinks(other(tmp_path, text))
    assert "s3cret" not in str(caught.value)


def test_secret_that_cannot_sign_is_a_configuration_error_that_does_not_show_it(tmp_path):
    config = load(tmp_path)
    bad = replace(config.sinks["n8n"], secrets=(Secret(origin="env:BAD", value="whsec_s3cret!"),))
    with pytest.raises(ConfigError) as caught:
        open_sinks(replace(config, sinks={"n8n": bad}))
    assert str(caught.value) == f"{config.path}: sinks.n8n: secrets: number 1 is not whsec_ and base64"
