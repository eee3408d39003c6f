"""What the collector lets through is what spans carry, and its files hang together."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from otel.names import SPAN_ATTRIBUTES

OTEL = Path(__file__).parents[3] / "otel"
ABOUT = {"service.name", "service.version", "service.instance.id", "host.name", "process.pid"}


def read(*names):
    """Merge files as the collector merges its --config: maps by key, lists and scalars by the last."""
    merged: dict = {}
    for name in names:
        merge(merged, yaml.safe_load((OTEL / name).read_text()))
    return merged


def merge(into, more):
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def test_redaction_lets_through_what_spans_carry_and_fails_closed():
    rule = read("collector.yaml")["processors"]["redaction"]
    assert rule["allow_all_keys"] is False
    assert set(rule["allowed_keys"]) >= SPAN_ATTRIBUTES | ABOUT
    others = set(rule["allowed_keys"]) - SPAN_ATTRIBUTES - ABOUT
    assert {one.partition(".")[0] for one in others} == {"n8n", "telemetry"}


@pytest.mark.parametrize(
    "more", [(), ("sampling",), ("langfuse",), ("services",), ("sampling", "langfuse", "services")]
)
def test_every_part_of_a_pipeline_is_declared(more):
    config = read("collector.yaml", *(f"collector-{one}.yaml" for one in more))
    connectors = config["connectors"]
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= {*config["receivers"], *connectors}
        assert set(pipeline["processors"]) <= set(config["processors"])
        assert set(pipeline["exporters"]) <= {*config["exporters"], *connectors}


def test_figures_of_spans_come_before_any_sampling():
    pipelines = read("collector.yaml", "collector-sampling.yaml")["service"]["pipelines"]
    assert "span_metrics" in pipelines["traces/in"]["exporters"]
    assert "tail_sampling" not in pipelines["traces/in"]["processors"]
    assert "tail_sampling" in pipelines["traces/kept"]["processors"]
    assert pipelines["traces/in"]["processors"][:2] == ["memory_limiter", "redaction"]
