"""Shows an event to a browser: one page, which needs nothing but itself and follows the event's stream.

What the page runs and how it looks is fixed, so the policy names both by their hash and forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from gateway.ledger import Progress
from gateway.problem import GUARD

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from gateway.ledger import StepView, WorkView

MOST_RESULT = 100_000  # characters of a result; the JSON has all of it
MOST_ROWS = 200  # of a table: the newest
QUALITY = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
LEADS = {
    "queued": "In line for a worker.",
    "running": "A worker is at it.",
    "waiting": "Between two attempts.",
    "done": "Finished.",
    "delivered": "The receiver has taken it.",
    "discarded": "Dropped.",
    "dead": "Given up.",
}
NEXT = {"waiting": "It goes on by itself.", "dead": "It can be replayed."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """The page without its event, and the policy that lets it run."""

    template: Template
    policy: str


def prefers_page(accept: str) -> bool:
    """Tell whether an Accept header wants HTML more than JSON, as a browser's does and that of other programs does not.

    https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
    """
    wanted = {}
    for item in accept.lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        found = [match[1] for one in parameters if (match := QUALITY.fullmatch(one))]
        wanted[media] = float(found[0]) if found else 1.0
    html, plain = (
        next((wanted[media] for media in (kind, f"{kind.partition('/')[0]}/*", "*/*") if media in wanted), 0.0)
        for kind in ("text/html", "application/json")
    )
    return html > plain


def render_page(view: WorkView, *, now: datetime) -> Response:
    """Make the page of a run or a delivery."""
    shell = open_shell()
    text = shell.template.substitute(fill(view, now=now))
    headers = {
        **GUARD,
        "Content-Security-Policy": shell.policy,
        "Referrer-Policy": "no-referrer",  # the address of this page is a capability
        "Vary": "Accept",
    }
    return Response(text.encode("utf-8", "backslashreplace"), headers=headers, media_type="text/html")


@cache
def open_shell() -> Shell:
    """Read the page, and make its policy."""
    text = files("gateway").joinpath("page.html").read_text(encoding="utf-8")
    hashes = {name: fingerprint(text, name) for name in ("script", "style")}
    allowed = "; ".join(f"{name}-src '{value}'" for name, value in hashes.items())
    never = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return Shell(template=Template(text), policy=f"default-src 'none'; {allowed}; connect-src 'self'; {never}")


def fingerprint(text: str, name: str) -> str:
    """Give the hash by which a policy allows what stands in this element."""
    content = text.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def fill(view: WorkView, *, now: datetime) -> dict[str, str]:
    """Give every place of the page its text, escaped."""
    word, lead = view.state.capitalize(), describe(view)
    over = view.over and all(one.over for one in view.deliveries)
    return {
        "title": escape(f"{word}: {view.id}"),
        "state": escape(view.state),
        "over": "yes" if over else "no",
        "said": escape(f"{word}. {lead}"),
        "word": escape(word),
        "id": escape(view.id),
        "lead": escape(lead),
        "bar": draw_bar(measure(view)),
        "parts": "\n".join([draw_facts(view), draw_deliveries(view), draw_steps(view), draw_result(view)]),
        "now": tell_time(now),
    }


def describe(view: WorkView) -> str:
    """Say in a few sentences where it is, why, and what comes next."""
    place = describe_place(view) or LEADS.get(view.state, "")
    reason = view.reason.rstrip(".")
    why = f"{reason[0].upper()}{reason[1:]}." if reason else ""
    return " ".join(part for part in (place, why, NEXT.get(view.state, ""), describe_deliveries(view)) if part)


def describe_place(view: WorkView) -> str:
    """Say `Step 2 of 3: label.`, or how many steps are finished; nothing where that is not known."""
    progress = measure(view)
    if not progress.total or view.state == "queued":
        return ""
    if view.over:
        stopped = f"Given up at step {view.step}; " if view.state == "dead" and view.step else ""
        return f"{stopped}{progress.finished} of {progress.total} steps finished."
    named = f": {view.step}" if view.step else ""
    return f"Step {progress.json()['step_number']} of {progress.total}{named}."


def describe_deliveries(view: WorkView) -> str:
    """Say how many deliveries are not there."""
    dead = sum(one.state == "dead" for one in view.deliveries)
    due = sum(not one.over for one in view.deliveries)
    told = [(dead, "given up"), (due, "on the way")]
    said = ", ".join(f"{count} {what}" for count, what in told if count)
    return f"Deliveries: {said}." if said else ""


def measure(view: WorkView) -> Progress:
    """Tell how far it is, of the same moment as the rest, and counted as progress.lua does."""
    present = "" if view.over else view.step
    finished = len({one.name for one in view.steps} - {present})
    return Progress(id=view.id, mark="", state=view.state, step=view.step, total=view.steps_total, finished=finished)


def draw_bar(progress: Progress) -> str:
    """Draw how much of it is done, where that is known."""
    percent = progress.percent
    return (
        "" if percent is None else f'<progress max="100" value="{percent}" aria-label="Finished">{percent} %</progress>'
    )


def draw_facts(view: WorkView) -> str:
    """List what an operator asks for first; what is not known is left out."""
    delivery = view.kind == "delivery"
    facts = [
        ("Event", f"<code>{escape(view.event_id)}</code>" if delivery else ""),
        ("Sink", escape(view.sink or "")),
        ("Source", escape(view.source)),
        ("Pipeline", "" if delivery else escape(view.pipeline)),
        ("Received", tell_time(view.received_at)),
        ("Last change", tell_time(view.updated_at)),
        ("Next attempt", tell_time(view.due_at) if view.due_at and view.state == "waiting" else ""),
        ("Failed attempts", str(view.attempts)),
        ("Last error", escape(view.error_class)),
        ("Trace", f"<code>{escape(view.trace_id)}</code>" if view.trace_id else ""),
    ]
    rows = "\n".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return f'<h2>Details</h2>\n<dl class="card">\n{rows}\n</dl>'


def draw_deliveries(view: WorkView) -> str:
    """Draw where the result goes, and how far it is."""
    rows = [
        (
            escape(one.sink or ""),
            f'<span class="state {escape(one.state)}">{escape(one.state)}</span>{small(*said(one))}',
        )
        for one in view.deliveries
    ]
    return draw_table("Deliveries", ("Sink", "State"), rows)


def said(delivery: WorkView) -> list[str]:
    """Say why a delivery is not there yet, escaped."""
    due = f"next attempt {tell_time(delivery.due_at)}" if delivery.due_at and delivery.state == "waiting" else ""
    return [escape(delivery.reason), f"{delivery.attempts} failed" if delivery.attempts else "", due]


def draw_steps(view: WorkView) -> str:
    """Draw the steps that are finished."""
    rows = [(draw_step(one), tell_span(one.took)) for one in view.steps[-MOST_ROWS:]]
    table = draw_table("Finished steps", ("Step", "Took"), rows)
    left = len(view.steps) - len(rows)
    return f'{table}\n<p class="note">{left} earlier ones are not shown.</p>' if left else table


def draw_step(step: StepView) -> str:
    """Name a step, with its round or item, and which model answered."""
    name = f"{step.name}[{step.key}]" if step.key else step.name
    return escape(name) + small(escape(step.candidate), "degraded: a lesser model" if step.degraded else "")


def small(*parts: str) -> str:
    """Put remarks below what they are about, or nothing."""
    text = ", ".join(part for part in parts if part)
    return f"<small>{text}</small>" if text else ""


def draw_table(title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Draw a table, or nothing where it has no rows."""
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<h2>{title}</h2>\n<div class="card">{table}</div>' if body else ""


def draw_result(view: WorkView) -> str:
    """Show the result as text; markup in it stays text."""
    if view.result is None:
        return ""
    text = write_result(view.result)
    cut = f'\n<p class="note">Cut after {MOST_RESULT} characters; the JSON of this page has all.</p>'
    shown = f'<pre class="card" tabindex="0" aria-labelledby="result">{escape(text[:MOST_RESULT])}</pre>'
    return f'<h2 id="result">Result</h2>\n{shown}{cut if len(text) > MOST_RESULT else ""}'


def write_result(result: Any) -> str:
    """Write a text as it is, and everything else as JSON."""
    return result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False)


def tell_time(moment: datetime) -> str:
    """Write a moment in UTC, to the second."""
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def tell_span(span: timedelta) -> str:
    """Write how long something took."""
    seconds = span.total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
