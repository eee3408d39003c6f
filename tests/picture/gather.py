"""Gathers what the picture of the dashboard shows: `python -m picture.gather FILE`.

A real gateway and two workers play eleven minutes of a busy morning, a real Prometheus scrapes them, and every
expression of the dashboard's JSON is asked of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.gateway.subjects import own_redis
from bench.telling import telling
from fakes import model_server
from picture.play import APP, CONFIG, LENGTH, MODELS, play
from prometheus import prometheus, query
from stack import Stack

from otel.dashboard import make_dashboard

SHOWN = LENGTH - 40  # seconds; before that, two scrapes had not yet come
AFTER = 10  # seconds, so that the last rush is not over
STEP = 5
ENV = {
    "OTEL_METRICS_EXPORTER": "prometheus",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "19564",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def main() -> None:
    """Play, ask, and write the values there."""
    with tempfile.TemporaryDirectory() as folder, telling() as say:
        say(f"playing for {LENGTH} s")
        series = gather(Path(folder))
    Path(sys.argv[1]).write_text(json.dumps(series))


def gather(folder: Path) -> dict[str, list[Any]]:
    """Play, and give what each expression of the dashboard was over that time."""
    (folder / "app.py").write_text(APP)
    exprs = [target["expr"] for panel in make_dashboard()["panels"] for target in panel["targets"]]
    with own_redis(folder / "redis", {"maxmemory": "64mb"}) as redis, model_server.serve() as provider:
        models = MODELS.format(openai=provider.url, anthropic=provider.base("anthropic"))
        with Stack(folder, redis.url, models=models, config=CONFIG, env=ENV) as stack:
            stack.start_gateway()
            for _ in range(2):
                stack.start_worker(runs=8, deliveries=4)
            with prometheus(stack, folder, every=f"{STEP}s") as url:
                _, end = play(stack, provider)
                end -= AFTER
                over = {"start": str(end - SHOWN), "end": str(end), "step": str(STEP)}
                return {expr: query(url, expr, **over) for expr in exprs}


if __name__ == "__main__":
    main()
