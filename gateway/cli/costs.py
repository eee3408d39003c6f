"""`hookmill costs`: what models cost, day by day, and on what."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import opening, render
from gateway.cli.options import Json  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.ledger import Ledger

    Book = Mapping[str, float]

MOST_DAYS = 62  # as long as the book of a day is kept
WIDTH = 40
ALL, HELD = "all", "held all"

Days = Annotated[int, typer.Option("--days", min=1, max=MOST_DAYS, help="So many days, today included.")]


def costs(*, days: Days = 14, as_json: Json = False) -> None:
    """Show what models cost on each day, and in this month by source, pipeline and model; days are those of UTC."""
    today = opening.now()
    asked = [(today - timedelta(days=back)).strftime("%Y-%m-%d") for back in range(days)]
    month = today.strftime("%Y-%m")

    async def read(ledger: Ledger) -> dict[str, Book]:
        return {period: await ledger.book(period) for period in (*asked, month)}

    books = opening.ask(read)
    if as_json:
        render.show_json(books)
        return
    found = opening.config_or_none()
    budget = found.budget if found else None
    limits = (budget.day, budget.month) if budget else (None, None)
    render.show(*_parts(books, days=asked[::-1], month=month, limits=limits))


def _parts(
    books: Mapping[str, Book], *, days: list[str], month: str, limits: tuple[float | None, float | None]
) -> Iterator[Any]:
    highest = max(books[day].get(ALL, 0.0) for day in days)
    for day in days:
        spent = books[day].get(ALL, 0.0)
        yield f"{day}  {_dollars(spent):>12}  {'█' * _length(spent, highest)}".rstrip()
    yield ""
    yield f"today       {_of(books[days[-1]], limits[0])}"
    yield f"{month}     {_of(books[month], limits[1])}"
    rows = [
        (*map(render.plain, name.split(" ", 1)), _dollars(spent))
        for name, spent in sorted(books[month].items(), key=lambda pair: (pair[0].split(" ")[0], -pair[1]))
        if not name.startswith((ALL, "held "))
    ]
    if rows:
        yield ""
        yield render.table(("what", "name", ">this month"), rows)


def _length(spent: float, highest: float) -> int:
    return round(WIDTH * spent / highest) or 1 if spent else 0


def _of(book: Book, limit: float | None) -> str:
    spent, held = book.get(ALL, 0.0), book.get(HELD, 0.0)
    told = _dollars(spent) + (f" of {_dollars(limit)} ({spent / limit:.0%})" if limit else "")
    return told + (f", and {_dollars(held)} reserved: calls under way, or whose end nobody heard" if held > 0 else "")


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:,.6f}"
