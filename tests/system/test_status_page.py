"""The page of an event in a real browser: it follows the event, runs nothing of it, and can be read by everybody."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import timedelta

import httpx
import pytest
from browser import Browser
from served import CONFIG, TOKEN, free_id, link, put_token, serve, signed_headers

from gateway.ledger import NewDelivery

HOSTILE = (
    "</pre></main><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    "<svg onload='window.hacked = 1'>\"' onfocus='window.hacked = 1' autofocus $lead"
)
# The least contrast of any text with what is behind it, and the text: https://www.w3.org/TR/WCAG21/#contrast-minimum
CONTRAST = """(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    const color = getComputedStyle(node).backgroundColor;
    return color === "rgba(0, 0, 0, 0)" ? ground(node.parentElement) : color;
  };
  const found = [];
  for (const state of ["queued", "running", "waiting", "done", "dead", "discarded", "delivered"]) {
    document.querySelector("main").className = state;
    for (const node of document.body.querySelectorAll("*")) {
      const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
      if (!own || ["SCRIPT", "NOSCRIPT"].includes(node.tagName)) continue;
      const [low, high] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => a - b);
      found.push([(high + 0.05) / (low + 0.05), state + ": " + node.textContent]);
    }
  }
  return found.sort((a, b) => a[0] - b[0])[0];
})()"""


@pytest.fixture(scope="module")
def gateway(module_redis, tmp_path_factory):
    served = serve(tmp_path_factory.mktemp("gateway"), module_redis.url)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(running):
    """The module's browser, on a blank page, which must not have had anything to complain about at the end."""
    running.look(width=800)
    running.open("about:blank")
    running.complaints.clear()
    yield running
    assert running.complaints == []


@pytest.fixture
def event_id(gateway):
    return accepted(gateway)


def accepted(gateway):
    body = json.dumps({"n": free_id()}).encode()
    return gateway.post("demo", body, signed_headers(body)).json()["event_id"]


def begin(gateway, work_id):
    return gateway.ledger(lambda ledger: ledger.begin(work_id, fence="worker/f")).work


def checkpoint(gateway, work, step, *, total=2):
    took = json.dumps({"name": step, "took": 1.25, "at": time.time(), "candidate": "gpt-mini"})
    gateway.ledger(lambda ledger: ledger.checkpoint(work, step, output=b"1", took=took, total=total))


def finish(gateway, work, result, *sinks):
    ids = [f"dlv_{hashlib.sha256(f'{work.id} {sink}'.encode()).hexdigest()[:32]}" for sink in sinks]
    deliveries = [
        NewDelivery(id=one, sink=sink, concurrency=8, timeout=timedelta(seconds=15))
        for one, sink in zip(ids, sinks, strict=True)
    ]
    gateway.ledger(
        lambda ledger: ledger.finish(work, "done", result=json.dumps(result).encode(), deliveries=deliveries)
    )
    return ids


def shows(text):
    return f"document.querySelector('main').innerText.includes({json.dumps(text)})"


def says(text):
    return f"document.getElementById('link').textContent.startsWith({json.dumps(text)})"


def test_the_page_follows_its_event_to_the_end_of_its_deliveries(gateway, browser, event_id):
    browser.open(gateway.url + link(event_id))
    assert browser.run(shows("In line for a worker."))
    browser.until(says("live"))
    work = begin(gateway, event_id)
    browser.until(shows("Running"))
    checkpoint(gateway, work, "redact")
    browser.until(shows("Step 2 of 2"))
    assert browser.run("document.querySelector('progress').value") == 50
    gateway.ledger(
        lambda ledger: ledger.postpone(work, timedelta(milliseconds=1), reason="no slot", error_class="transient")
    )
    browser.until(shows("No slot. It goes on by itself."))
    assert browser.run(shows("transient"))
    assert browser.run("document.title") == f"Waiting: {event_id}"
    assert browser.run("document.getElementById('said').textContent").startswith("Waiting. Step 2 of 2")
    gateway.ledger(lambda ledger: ledger.sweep("worker"))
    [delivery] = finish(gateway, begin(gateway, event_id), {"mood": "good"}, "n8n")
    browser.until(shows("Deliveries: 1 on the way."))
    assert browser.run(shows('"mood": "good"'))
    sent = begin(gateway, delivery)
    gateway.ledger(lambda ledger: ledger.finish(sent, "delivered"))
    browser.until(says("final"))
    assert browser.run(shows("delivered"))


@pytest.mark.parametrize("live", [False, True])
def test_nothing_of_an_event_is_run(gateway, browser, event_id, live):
    if live:
        browser.open(gateway.url + link(event_id))
        browser.until(says("live"))
    work = begin(gateway, event_id)
    gateway.ledger(lambda ledger: ledger.checkpoint(work, "s", output=b"1", took=json.dumps(step(HOSTILE)), total=1))
    finish(gateway, work, {HOSTILE: HOSTILE}, HOSTILE)
    if not live:
        browser.open(gateway.url + link(event_id))
    browser.until("document.querySelectorAll('h2').length === 4")
    assert browser.run(
        "[window.hacked, document.images.length, document.querySelectorAll('main script, svg').length]"
    ) == [
        None,
        0,
        0,
    ]
    shown = browser.run("document.querySelector('pre').textContent")
    assert json.loads(shown) == {HOSTILE: HOSTILE}


def step(name):
    return {"name": name, "key": name, "took": 1, "at": 1, "candidate": name}


def test_what_gets_into_the_page_all_the_same_is_not_run(gateway, browser, event_id):
    browser.open(gateway.url + link(event_id))
    browser.run("""(() => {
      const script = document.createElement("script");
      script.textContent = "window.hacked = 1";
      document.body.append(script);
      document.querySelector("main").innerHTML = "<img src=x onerror='window.hacked = 1'>";
    })()""")
    browser.until("document.images.length === 1 && document.images[0].complete")
    assert browser.run("window.hacked") is None
    assert browser.complaints
    assert all("Content Security Policy" in one for one in browser.complaints)
    browser.complaints.clear()


def test_the_page_says_the_same_without_scripts(gateway, browser, event_id):
    checkpoint(gateway, begin(gateway, event_id), "redact")
    browser.look(width=800, scripts=False)
    browser.call("Page.navigate", url=gateway.url + link(event_id))
    browser.until(f"document.title === 'Running: {event_id}'")
    assert browser.run(shows("Step 2 of 2"))
    assert browser.run("document.querySelector('header').innerText.includes('reload it')")


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_narrow_screen_and_can_be_read_there(gateway, browser, event_id, dark):
    work = begin(gateway, event_id)
    checkpoint(gateway, work, "a_step_with_a_name_that_is_rather_long_for_a_narrow_screen", total=3)
    finish(gateway, work, {"text": "long" * 200}, "a-sink-with-a-name-that-is-rather-long-for-a-narrow-screen")
    browser.look(width=320, dark=dark)
    browser.open(gateway.url + link(event_id))
    assert browser.run("document.documentElement.scrollWidth") == 320
    least, text = browser.run(CONTRAST)
    assert least >= 4.5, text


def test_the_page_has_what_a_screen_reader_goes_by(gateway, browser, event_id):
    work = begin(gateway, event_id)
    checkpoint(gateway, work, "redact")
    finish(gateway, work, "fine", "n8n")
    browser.open(gateway.url + link(event_id))
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {(one["role"]["value"], one.get("name", {}).get("value", "")) for one in nodes if not one["ignored"]}
    assert {role for role, _ in named} >= {"banner", "main", "contentinfo", "status", "table", "columnheader", "time"}
    assert ("heading", f"Done {event_id}") in named
    assert ("progressbar", "Finished") in named
    assert {name for role, name in named if role == "heading"} >= {"Details", "Deliveries", "Finished steps", "Result"}


def test_a_link_that_expires_meanwhile_is_said_to_have(gateway, browser, event_id):
    browser.open(gateway.url + link(event_id, valid=3))
    browser.until(says("live"))
    time.sleep(3)
    begin(gateway, event_id)
    browser.until(says("this link has expired"))
    assert "401" in browser.complaints.pop()


def test_where_no_stream_is_free_the_page_looks_again_by_itself(module_redis, tmp_path, browser):
    gateway = serve(tmp_path, module_redis.url, config="[gateway]\nstreams = 1\n" + CONFIG)
    try:
        put_token(gateway)
        event_id = accepted(gateway)
        url, headers = f"{gateway.url}/events/{event_id}/stream", {"authorization": f"Bearer {TOKEN}"}
        with httpx.stream("GET", url, headers=headers, timeout=30) as held:
            assert held.status_code == 200
            browser.open(gateway.url + link(event_id))
            browser.until(says("checks again in 5 s"))
            begin(gateway, event_id)
            browser.until(shows("Running"))
        assert "503" in browser.complaints.pop()
    finally:
        browser.open("about:blank")
        gateway.stop()
