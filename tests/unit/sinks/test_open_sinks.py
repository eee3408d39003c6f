from __future__ import annotations

import asyncio
import json
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


def test_secret_that_cannot_sign_is_a_configuration_error_that_does_not_show_it(tmp_path):
    config = load(tmp_path)
    bad = replace(config.sinks["n8n"], secrets=(Secret(origin="env:BAD", value="whsec_s3cret!"),))
    with pytest.raises(ConfigError) as caught:
        open_sinks(replace(config, sinks={"n8n": bad}))
    assert str(caught.value) == f"{config.path}: sinks.n8n: secrets: number 1 is not whsec_ and base64"
