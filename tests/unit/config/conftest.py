from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from gateway.config import Config, ConfigError, Models, load_config, load_models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "whsec_" + "Q0FOQVJZ" * 4  # base64 of CANARY, over and over
ENV = {"BLOG_SECRET": KEY, "N8N_TOKEN": "token-CANARY"}
BLOG = '[sources.blog]\nscheme = "standard"\nsecrets = ["env:BLOG_SECRET"]\npipeline = "triage"\n'


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Config]:
    """Load a hookmill.toml of this text; `lines` go into [sources.blog]."""

    def load(text: str = "", *, lines: str = "", env: dict[str, str] | None = None) -> Config:
        path = tmp_path / "hookmill.toml"
        path.write_text(textwrap.dedent(text) or BLOG + lines, encoding="utf-8")
        return load_config(path, ENV if env is None else env)

    return load


@pytest.fixture
def models(tmp_path: Path) -> Callable[..., Models]:
    def load(text: str, **env: str) -> Models:
        path = tmp_path / "models.yaml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load_models(path, env)

    return load


@pytest.fixture
def mistakes(tmp_path: Path) -> Callable[..., list[str]]:
    """Call a loader that must fail, and give its lines without the folder in front."""

    def catch(load: Callable[..., object], *args: object, **named: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(*args, **named)
        assert "CANARY" not in repr(caught.value) + str(caught.value)
        assert KEY not in str(caught.value)
        return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines]

    return catch
