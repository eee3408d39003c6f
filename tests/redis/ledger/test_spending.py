"""A budget is never exceeded by what calls may cost at most, and the books hold what they did cost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from programs import PATIENT

from gateway.ledger import Account, BudgetSpent, Hold, Near, open_ledger
from gateway.ledger.keys import key
from gateway.ledger.spending import end_of

pytestmark = pytest.mark.anyio
DAY, MONTH = "2026-11-21", "2026-11"


def hold(worst, *accounts, call="a", day=DAY, counted=()):
    return Hold(id=call, day=day, worst=worst, accounts=accounts, counted=counted)


async def test_a_call_that_could_exceed_a_limit_is_refused_and_reserves_nothing(ledger):
    both = (Account(name="all", day=10.0), Account(name="source blog", day=1.0))
    assert await ledger.spending.reserve(hold(0.6, *both)) == []
    for _ in range(2):
        with pytest.raises(BudgetSpent, match="the budget of the day of source blog is spent") as spent:
            await ledger.spending.reserve(hold(0.5, *both, call="b"))
        assert (spent.value.name, spent.value.period) == ("source blog", "day")
        assert spent.value.until == datetime(2026, 11, 22, tzinfo=UTC)
    assert await ledger.book(DAY) == {"held all": 0.6, "held source blog": 0.6}


async def test_a_limit_may_be_reached_to_the_last_billionth(ledger):
    account = Account(name="all", day=1.0, warn=1.0)
    await ledger.spending.reserve(hold(0.4, account))
    assert await ledger.spending.reserve(hold(0.6, account, call="b")) == [Near(name="all", period="day")]
    with pytest.raises(BudgetSpent):
        await ledger.spending.reserve(hold(1e-9, account, call="c"))


async def test_what_was_only_counted_so_far_is_counted_in_full(ledger):
    account = Account(name="all", day=1.0)
    await ledger.spending.settle(hold(0.0, account), 1.0)
    with pytest.raises(BudgetSpent):
        await ledger.spending.reserve(hold(1e-9, account, call="b"))


async def test_what_a_call_did_cost_takes_the_place_of_what_it_could(ledger):
    account = Account(name="all", day=1.0, month=3.0)
    call = hold(0.9, account, counted=("pipeline p", "model gpt"))
    await ledger.spending.reserve(call)
    for _ in range(2):  # whoever does not hear the answer tells it again
        await ledger.spending.settle(call, 0.1)
    book = {"all": 0.1, "held all": 0.0, "pipeline p": 0.1, "model gpt": 0.1}
    assert (await ledger.book(DAY), await ledger.book(MONTH)) == (book, book)
    await ledger.spending.reserve(hold(0.9, account, call="b"))


async def test_the_month_holds_over_its_days(ledger):
    account = Account(name="all", day=1.0, month=1.5)
    await ledger.spending.reserve(hold(1.0, account))
    with pytest.raises(BudgetSpent) as spent:
        await ledger.spending.reserve(hold(0.6, account, day="2026-11-22"))
    assert (spent.value.period, spent.value.until) == ("month", datetime(2026, 12, 1, tzinfo=UTC))
    await ledger.spending.reserve(hold(0.5, account, day="2026-11-22"))
    await ledger.spending.reserve(hold(1.0, account, day="2026-12-01"))


async def test_a_budget_is_told_near_once_in_its_period(ledger):
    account = Account(name="all", day=10.0, month=12.0, warn=0.8)
    told = [await ledger.spending.reserve(hold(worst, account, call=str(worst))) for worst in (7.9, 0.1, 1.6, 0.1)]
    assert told == [[], [Near(name="all", period="day")], [Near(name="all", period="month")], []]
    assert (await ledger.book(DAY)).keys() == {"held all"}


async def test_accounts_without_limits_are_books_only(ledger):
    accounts = (Account(name="all"), Account(name="source blog"))
    await ledger.spending.settle(hold(0.0, *accounts), 2.5)
    assert await ledger.book(DAY) == {"all": 2.5, "source blog": 2.5}
    assert await ledger.book("2026-11-20") == {}


async def test_many_workers_at_once_never_exceed_it(redis_url):
    workers = [await open_ledger(redis_url, deadline=PATIENT) for _ in range(4)]
    account = Account(name="all", day=1.0)
    calls = [workers[at % 4].spending.reserve(hold(0.03, account, call=str(at))) for at in range(100)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, list) for one in answers) == 33
    assert (await workers[0].book(DAY))["held all"] == 0.99
    for worker in workers:
        await worker.close()


async def test_what_is_kept_of_the_costs_has_an_end(ledger):
    call = hold(1.0, Account(name="all", day=2.0))
    await ledger.spending.reserve(call)
    await ledger.spending.settle(call, 1.0)
    days = [await ledger.redis.ttl(key("spent", period)) / 86_400 for period in (DAY, MONTH)]
    assert days == pytest.approx([62, 400], rel=0.01)
    assert 55 < await ledger.redis.ttl(key("settled", "a")) <= 60


@pytest.mark.parametrize(
    ("day", "period", "end"),
    [
        ("2026-12-31", "day", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31", "month", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-01-31", "month", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-01", "month", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_period_ends_at_midnight_utc(day, period, end):
    assert end_of(day, period) == end
