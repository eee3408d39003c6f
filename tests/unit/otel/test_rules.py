"""Every alert fires, and not before its time; no rule and no panel names a metric that does not exist.

promtool, of Debian's package `prometheus`, judges. A rule that is broken in a small way must be noticed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from otel.dashboard import make_dashboard
from otel.instruments import INSTRUMENTS

OTEL = Path(__file__).parents[3] / "otel"
RULES = yaml.safe_load((OTEL / "rules.yml").read_text())
TESTS = yaml.safe_load((OTEL / "rules_test.yml").read_text())
ALERTS = {one["alert"]: one for group in RULES["groups"] for one in group["rules"]}
SERIES = {series for one in INSTRUMENTS for series in one.series}
METRIC = re.compile(r"\b(?:app|gen_ai|http|traces)_\w+")
LABELS = {one.replace(".", "_") for instrument in INSTRUMENTS for one in instrument.labels}


def passes(folder, rules, tests):
    """Ask promtool whether the tests pass under these rules."""
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "rules_test.yml").write_text(yaml.safe_dump(tests))
    promtool = shutil.which("promtool")
    assert promtool, "no promtool on PATH; install it: apt-get install prometheus"
    command = [promtool, "test", "rules", "rules_test.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False).returncode == 0


def broken(alert, **change):
    """Give the rules with one of them changed, and the tests of that one."""
    own = [one | change if one["alert"] == alert else one for group in RULES["groups"] for one in group["rules"]]
    tests = [one for one in TESTS["tests"] if one["alert_rule_test"][0]["alertname"] == alert]
    return {"groups": [{"name": "hookmill", "rules": own}]}, TESTS | {"tests": tests}


def test_the_rules_pass_their_tests(tmp_path):
    assert passes(tmp_path, RULES, TESTS)


def test_every_alert_has_a_test_that_it_fires_and_one_that_it_does_not():
    tested = {}
    for one in TESTS["tests"]:
        for case in one["alert_rule_test"]:
            tested.setdefault(case["alertname"], []).append(bool(case["exp_alerts"]))
    assert tested == {alert: [False, True] for alert in ALERTS}
    assert len(ALERTS) >= 10


@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("change", [{"expr": "vector(0) > 1"}, {"for": "0s"}], ids=["never fires", "at once"])
def test_a_broken_alert_is_noticed(tmp_path, alert, change):
    assert not passes(tmp_path, *broken(alert, **change))


def test_every_metric_of_rules_and_dashboard_exists():
    panels = [target["expr"] for one in make_dashboard()["panels"] for target in one.get("targets", ())]
    named = {name for expr in [*panels, *(one["expr"] for one in ALERTS.values())] for name in METRIC.findall(expr)}
    assert named - SERIES - LABELS == set()
    assert len(named & SERIES) >= 15


def test_every_expression_of_the_dashboard_is_promql(tmp_path):
    exprs = [target["expr"] for one in make_dashboard()["panels"] for target in one.get("targets", ())]
    recorded = [{"record": f"x{number}", "expr": expr} for number, expr in enumerate(exprs)]
    assert passes(tmp_path, {"groups": [{"name": "x", "rules": recorded}]}, TESTS | {"tests": []})


def test_the_dashboard_is_what_the_registry_makes():
    kept = json.loads((OTEL / "dashboards" / "hookmill.json").read_text())
    assert kept == make_dashboard(), "write it anew: python -m otel.dashboard"
    assert 12 <= len(kept["panels"]) <= 16


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_line_in_the_runbook(alert):
    assert f"| `{alert}` |" in (OTEL / "README.md").read_text()
