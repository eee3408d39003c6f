"""compose.yaml and the Dockerfile: valid, and without what a stranger could use."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
# From https://github.com/compose-spec/compose-go, v2.16.2 (Apache License 2.0), as it is.
SCHEMA = ROOT / "tests/cases/compose-spec.json"
SERVICES = ("redis", "gateway", "worker", "claims", "n8n", "otel-collector", "jaeger", "prometheus", "grafana")
SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")
FIXED_RELEASES = ((2, 43, 3), (3, 0, 1))  # of n8n: the first ones with the published security fixes


@cache
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


each = pytest.mark.parametrize("name", SERVICES)


def test_it_is_valid_by_the_schema_of_the_specification():
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    assert [
        f"{list(error.path)}: {error.message}" for error in Draft202012Validator(schema).iter_errors(compose())
    ] == []


def test_the_schema_does_refuse():
    broken = compose() | {"services": {"redis": {"imagge": "x"}}}
    assert not Draft202012Validator(json.loads(SCHEMA.read_text())).is_valid(broken)


def test_all_services_are_there():
    assert set(compose()["services"]) == set(SERVICES)


@each
def test_a_service_is_hardened_watched_and_bounded(name):
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert str(service["user"]).split(":")[0] not in {"", "0", "root"}
    assert service["healthcheck"]["test"][0] == "CMD"
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert "privileged" not in service
    assert service.get("network_mode") != "host"


@each
def test_no_port_is_open_to_others(name):
    assert all(port.startswith("127.0.0.1:") for port in compose()["services"][name].get("ports", []))


@each
def test_an_image_has_its_version(name):
    image = compose()["services"][name]["image"]
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-alpine)?$", image), image


@each
def test_no_secret_stands_in_it_and_none_has_a_default(name):
    for key, value in compose()["services"][name].get("environment", {}).items():
        if SECRET.search(key):
            assert re.fullmatch(r"\$\{[A-Z0-9_]+:\?[^}]+\}", value), key


def test_n8n_has_the_security_fixes():
    version = tuple(map(int, compose()["services"]["n8n"]["image"].rpartition(":")[2].split(".")))
    assert any(version >= first for first in FIXED_RELEASES if first[0] == version[0])


def test_what_is_named_is_declared():
    document = compose()
    for service in document["services"].values():
        assert set(service.get("networks", [])) <= set(document["networks"])
        named = [volume.split(":")[0] for volume in service.get("volumes", [])]
        assert {one for one in named if not one.startswith(("./", "/"))} <= set(document["volumes"])
        assert set(service.get("depends_on", {})) <= set(document["services"])


def test_only_the_gateway_and_the_workers_reach_the_ledger():
    services = compose()["services"]
    assert {name for name in services if "ledger" in services[name]["networks"]} == {"redis", "gateway", "worker"}


def test_the_image_is_built_from_the_lock_with_its_hashes():
    """uv checks the hashes of constraints, too: a package of another hash ends the build."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"\bpip install\b.*?(?=&&|\n|$)", text)
    assert len(installs) == 2
    for install in installs:
        assert "--require-hashes" in install or "--constraints requirements.lock" in install
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) == ["10001"]
