"""Draws the dashboard as its JSON lays it out: panels by `gridPos`, with their titles, units and legends.

`python -m picture.draw FILE PICTURE`, with what `picture.gather` wrote. Grafana's server is in no package registry that
we know of; this is matplotlib.
"""

from __future__ import annotations

import json
import math
import re
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.dates as mdates
from matplotlib import pyplot as plt
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from otel.dashboard import make_dashboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Box = tuple[float, float, float, float]  # left, bottom, width, height, in inches
    Line = tuple[str, list[tuple[float, str]]]  # its name, and values by time

CAPTION = (
    "Layout, titles, units, queries: otel/dashboards/hookmill.json. Values: a real Prometheus that scraped a real "
    "gateway and two workers. Series that stayed 0 are left out. Drawn by matplotlib, not by Grafana."
)
COLUMNS, UNIT_X, UNIT_Y = 24, 0.62, 0.36  # of the grid, and inches of a unit
MARGIN, HEAD, FOOT, GAP = 0.25, 0.55, 0.42, 0.1  # inches
DPI = 110
PALETTE = ("#3274d9", "#e0752d", "#6d1f62", "#0f9d94", "#b5890c", "#7a63c9", "#5b6470", "#c15c8a")
MEANT = {"done": "#37872d", "delivered": "#73bf69", "computed": "#37872d", "accepted": "#3274d9", "dead": "#c4162a",
         "failed": "#c4162a", "retry": "#e0752d", "waiting": "#e0a30c", "discarded": "#8e8e8e", "duplicate": "#9c6fd0",
         "checkpoint": "#5794f2"}  # fmt: skip
INK, FAINT, PAPER, EDGE = "#24292e", "#6e7781", "#f4f5f7", "#d8dbdf"
STYLE = {"font.family": "DejaVu Sans", "font.size": 8, "axes.edgecolor": EDGE, "axes.labelcolor": FAINT,
         "xtick.color": FAINT, "ytick.color": FAINT, "text.color": INK, "axes.linewidth": 0.8}  # fmt: skip
SECONDS = ((3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"))
BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """Where a panel is drawn: its frame, and the size of the whole, in inches; `span` is the time that it shows."""

    figure: Figure
    frame: Box
    size: tuple[float, float]
    span: tuple[datetime, datetime]


def draw(dashboard: dict[str, Any], series: dict[str, list[Any]], *, into: Path, caption: str) -> None:
    """Draw all panels; `series` has what Prometheus gave for each expression over the time of the picture."""
    mpl.rcParams.update(STYLE)
    places = [one["gridPos"] for one in dashboard["panels"]]
    rows = max(one["y"] + one["h"] for one in places)
    width, height = COLUMNS * UNIT_X + 2 * MARGIN, rows * UNIT_Y + HEAD + FOOT
    figure = plt.figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    figure.text(MARGIN / width, 1 - 0.22 / height, dashboard["title"], size=14, weight="bold", va="center")
    shown_time = first, last = span(series)
    when = f"{first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S}"
    figure.text(1 - MARGIN / width, 1 - 0.22 / height, when, size=9, color=FAINT, va="center", ha="right")
    figure.text(MARGIN / width, 0.2 / height, caption, size=8, color=FAINT, va="center")
    for panel in dashboard["panels"]:
        lines = [
            (legend(t["legendFormat"], one["metric"]), one["values"])
            for t in panel["targets"]
            for one in series[t["expr"]]
        ]
        on = Canvas(figure=figure, frame=place(panel["gridPos"], height), size=(width, height), span=shown_time)
        card(on, panel["title"])
        (stat if panel["type"] == "stat" else graph)(on, panel, lines)
    figure.savefig(into, facecolor=PAPER)
    plt.close(figure)


def place(grid: dict[str, int], height: float) -> Box:
    """Give left, bottom, width and height of a panel, in inches."""
    left = MARGIN + grid["x"] * UNIT_X + GAP / 2
    top = height - HEAD - grid["y"] * UNIT_Y - GAP / 2
    return left, top - grid["h"] * UNIT_Y + GAP, grid["w"] * UNIT_X - GAP, grid["h"] * UNIT_Y - GAP


def axes(figure: Figure, box: Box, size: tuple[float, float]) -> Axes:
    """Give axes at a place in inches."""
    left, bottom, wide, high = box
    return figure.add_axes((left / size[0], bottom / size[1], wide / size[0], high / size[1]))


def card(canvas: Canvas, title: str) -> None:
    """Draw the panel's own paper, and its title."""
    frame = canvas.frame
    on = axes(canvas.figure, frame, canvas.size)
    on.set(xlim=(0, frame[2]), ylim=(0, frame[3]))
    on.axis("off")
    shape = FancyBboxPatch((0.01, 0.01), frame[2] - 0.02, frame[3] - 0.02, boxstyle="round,pad=0,rounding_size=0.05")
    shape.set(facecolor="white", edgecolor=EDGE, linewidth=0.8)
    on.add_patch(shape)
    on.text(0.12, frame[3] - 0.17, title, size=9, weight="bold", va="center")


def stat(on: Canvas, panel: dict[str, Any], lines: list[Line]) -> None:
    """Write the last value of each series, large, above what it did."""
    figure, frame, size = on.figure, on.frame, on.size
    unit, wide = panel["fieldConfig"]["defaults"]["unit"], frame[2] / max(1, len(lines))
    for number, (name, values) in enumerate(lines):
        part = axes(figure, (frame[0] + number * wide, frame[1] + 0.04, wide, frame[3] - 0.34), size)
        part.axis("off")
        colour = colours([one for one, _ in lines])[number]
        below = part.inset_axes((0.04, 0.0, 0.92, 0.42))
        below.axis("off")
        times, heights = points(values)
        below.fill_between(times, heights, color=colour, alpha=0.18, linewidth=0)
        below.plot(times, heights, color=colour, linewidth=1.1)
        below.set_ylim(0, max([*heights, 1e-9]) * 1.05)
        large = {"size": 19, "weight": "bold", "color": colour, "ha": "center", "va": "center"}
        part.text(0.5, 0.66, shown(heights[-1], unit), transform=part.transAxes, **large)
        small = {"size": 7.5, "color": FAINT, "va": "top"}
        part.text(0.05, 0.98, name if len(lines) > 1 else "", transform=part.transAxes, **small)


def graph(on: Canvas, panel: dict[str, Any], lines: list[Line]) -> None:
    """Draw the series over time, and their legend below."""
    figure, frame, size = on.figure, on.frame, on.size
    unit = panel["fieldConfig"]["defaults"]["unit"]
    lines = [one for one in lines if any(value for _, value in zip(*points(one[1]), strict=True))] or lines[:1]
    rows = legend_rows([name for name, _ in lines], frame[2] - 0.3)
    low = 0.3 + 0.17 * len(rows)
    part = axes(figure, (frame[0] + 0.62, frame[1] + low, frame[2] - 0.78, frame[3] - low - 0.36), size)
    for (name, values), colour in zip(lines, colours([name for name, _ in lines]), strict=True):
        times, heights = points(values)
        part.plot(times, heights, color=colour, linewidth=1.3, label=name)
        if len(lines) <= 3:
            part.fill_between(times, heights, color=colour, alpha=0.08, linewidth=0)
    dress(part, unit)
    part.set_xlim(*on.span)
    paper = axes(figure, (frame[0] + 0.15, frame[1] + 0.06, frame[2] - 0.3, 0.17 * len(rows)), size)
    paper.set(xlim=(0, frame[2] - 0.3), ylim=(len(rows), 0))
    paper.axis("off")
    names = dict(zip([name for name, _ in lines], colours([name for name, _ in lines]), strict=True))
    for row, told in enumerate(rows):
        for left, name in told:
            paper.plot([left, left + 0.14], [row + 0.5] * 2, color=names[name], linewidth=2.2, solid_capstyle="butt")
            paper.text(left + 0.19, row + 0.52, name, size=7.2, va="center")


def dress(on: Axes, unit: str) -> None:
    """Give axes their grid, ticks and unit."""
    top = on.get_ylim()[1]
    on.set_ylim(0, top if top > 0 and math.isfinite(top) else 1)
    on.grid(axis="y", color="#eceef0", linewidth=0.8)
    on.set_axisbelow(True)
    for side in ("top", "right", "left"):
        on.spines[side].set_visible(False)
    on.tick_params(length=0, labelsize=7.2)
    on.yaxis.set_major_locator(MaxNLocator(4))
    on.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    on.xaxis.set_major_locator(mdates.MinuteLocator(interval=2))
    on.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M"))
    on.margins(x=0.01)


def points(values: Sequence[Any]) -> tuple[list[datetime], list[float]]:
    """Give times and values as Prometheus tells them; what is no number is 0."""
    told = [(datetime.fromtimestamp(at), float(value)) for at, value in values]  # noqa: DTZ006 - the reader's own clock
    return [at for at, _ in told], [value if math.isfinite(value) else 0.0 for _, value in told]


def legend(form: str, labels: dict[str, str]) -> str:
    """Fill Grafana's form of a legend."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form).strip()


def legend_rows(names: Sequence[str], width: float) -> list[list[tuple[float, str]]]:
    """Share names out to rows of that width, in inches; gives each with its place."""
    rows: list[list[tuple[float, str]]] = [[]]
    left = 0.0
    for name in names:
        wide = 0.32 + 0.063 * len(name)
        if left + wide > width and rows[-1]:
            rows.append([])
            left = 0.0
        rows[-1].append((left, name))
        left += wide
    return rows


def colours(names: Sequence[str]) -> list[str]:
    """Give each series of a panel its colour: by what it means, else the next of the palette."""
    rest = iter(PALETTE * 3)
    words = [MEANT.get(name.rpartition(" ")[2]) for name in names]
    one_of_many = len(set(words)) < len(words)  # several sources with the same outcome: told apart by the palette
    return [next(rest) if word is None or one_of_many else word for word in words]


def shown(value: float, unit: str) -> str:
    """Write a value in Grafana's unit."""
    if unit in ("s", "bytes"):
        steps = SECONDS if unit == "s" else BYTES
        size, name = next((one for one in steps if abs(value) >= one[0]), steps[-1])
        return f"{value / size:.3g} {name}" if value else "0"
    if unit == "percentunit":
        return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"
    if unit == "currencyUSD":
        return f"${value:.2g}" if value else "$0"
    return f"{value:.3g}"


def span(series: dict[str, list[Any]]) -> tuple[datetime, datetime]:
    """Give the time of the picture."""
    times = [at for found in series.values() for one in found for at, _ in one["values"]]
    return datetime.fromtimestamp(min(times)), datetime.fromtimestamp(max(times))  # noqa: DTZ006


if __name__ == "__main__":
    draw(make_dashboard(), json.loads(Path(sys.argv[1]).read_text()), into=Path(sys.argv[2]), caption=CAPTION)
