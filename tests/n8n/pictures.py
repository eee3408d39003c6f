"""Takes the pictures of n8n-workflows/README.md in n8n's own editor: PYTHONPATH=tests python tests/n8n/pictures.py."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from browser import Browser
from n8n.place import WORKFLOWS
from n8n.server import OWNER, PASSWORD, N8n

from gateway.n8n.deploy import CommandLine

PICTURES = {"hookmillNotifyResult": "notify-result.png", "hookmillReviewDeadLetter": "review-dead-letter.png"}
MOST = 200_000  # bytes of a picture
LOGIN = """fetch('/rest/login', {method: 'POST', headers: {'content-type': 'application/json'}, body: %s})
    .then(answer => answer.status)"""
READY = "document.querySelectorAll('.vue-flow__node').length >= 5"
# The canvas alone: no menus, no hints, no buttons.
STYLE = """(() => {
    const style = document.createElement('style');
    style.textContent = `
        [data-test-id="canvas-controls"], [class*="executionButtons"], [data-test-id="ask-assistant-floating-button"],
        [class*="nodeCreation"], [data-test-id="node-creator-plus-button"], .vue-flow__minimap, .el-notification,
        [class*="executionButtons"], [class*="logs"], [data-test-id="logs-overview"] { display: none !important; }`;
    document.head.append(style);
    return true;
})()"""
FIT = """(() => {
    const button = document.querySelector('[data-test-id="zoom-to-fit"]');
    if (button) button.click();
    return Boolean(button);
})()"""


def take(folder: Path) -> None:
    workflows = [json.loads(path.read_text()) for path in sorted(WORKFLOWS.glob("*.json"))]
    n8n_folder, browser_folder = folder / "n8n", folder / "browser"
    n8n_folder.mkdir()
    browser_folder.mkdir()
    with N8n(n8n_folder) as n8n, Browser(browser_folder) as browser:
        line = CommandLine(command=tuple(n8n.command), env=n8n.cli_env)
        line.run("import:workflow", "--input=/dev/stdin", sent=json.dumps(workflows), expected="Successfully imported")
        browser.look(width=1600)
        browser.open(f"{n8n.url}/signin")
        login = json.dumps(json.dumps({"emailOrLdapLoginId": OWNER, "password": PASSWORD}))
        assert browser.run(LOGIN % login) == 200
        for workflow_id, name in PICTURES.items():
            shoot(browser, f"{n8n.url}/workflow/{workflow_id}", WORKFLOWS / name)


def shoot(browser: Browser, url: str, path: Path) -> None:
    browser.call("Page.navigate", url=url)
    browser.until(READY, within=60)
    browser.until(FIT)
    browser.run("new Promise(done => setTimeout(() => done(true), 2500))")
    browser.run(STYLE)
    browser.run("new Promise(done => setTimeout(() => done(true), 500))")
    browser.picture(path)
    size = path.stat().st_size
    print(f"{path}: {size} bytes", file=sys.stderr)
    assert size < MOST, size


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        take(Path(place))
