from __future__ import annotations

import base64

import pytest

from gateway.cli.faults import Fault
from gateway.cli.init import init
from gateway.config import load_config, load_models


def test_what_init_writes_works_at_once(tmp_path):
    init(tmp_path / "new")
    config = load_config(tmp_path / "new" / "hookmill.toml", {})
    assert config.sources["blog"].pipeline == "comment-sentiment"
    assert config.sources["blog"].sinks == ("results",)
    assert set(config.sinks) == {"results", "n8n"}
    assert "fast" in load_models(tmp_path / "new" / "models.yaml", {}).aliases


def test_secrets_are_fresh_and_for_the_owner_only(tmp_path):
    init(tmp_path / "one")
    init(tmp_path / "two")
    folder = tmp_path / "one" / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    texts = set()
    for path in (folder / "blog", folder / "n8n", tmp_path / "two" / "secrets" / "blog"):
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        texts.add(text)
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        assert len(key) == 32
        assert key.isascii()
    assert len(texts) == 3


def test_init_prints_three_next_commands_and_no_secret(tmp_path, capsys):
    init(tmp_path / "new")
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if "hookmill " in line and line.startswith("  ")][2:]
    assert (tmp_path / "new" / "secrets" / "blog").read_text() not in out


def test_init_overwrites_only_when_forced(tmp_path):
    init(tmp_path)
    secret = (tmp_path / "secrets" / "blog").read_text()
    with pytest.raises(Fault, match=r"already there: .*hookmill\.toml"):
        init(tmp_path)
    assert (tmp_path / "secrets" / "blog").read_text() == secret
    init(tmp_path, force=True)
    assert (tmp_path / "secrets" / "blog").read_text() != secret
