"""Which requests a bill is compared with, what counts as a difference, and what becomes of it."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from billing import rates
from billing.discrepancies import queue, resolving
from billing.models import Discrepancy
from payments.topups import fx
from proxy.bills import work
from proxy.bills.names import plain
from proxy.bills.reading import BillError
from proxy.bills.requests import NoRate
from proxy.models import Attempt, Generation, Upstream, UpstreamBill, UpstreamBillLine, UpstreamBillSum
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.bills import written
from tests.proxy.bills.conftest import FIRST, LAST
from tests.proxy.bills.test_months import bill_of, found

pytestmark = pytest.mark.django_db
DAY = datetime(2026, 10, 5, tzinfo=UTC)
GPT = "gpt-4.1-2025-04-14"


def plain_bill(*rows: str, head: str = "day,model,amount") -> bytes:
    return "\n".join((head, *rows)).encode()


def day_of(upstream: Upstream, *rows: str, head: str = "day,model,amount", **told: Any) -> UpstreamBill:
    """A bill of one day."""
    days = {"first": DAY.date(), "last": DAY.date()}
    return bill_of(plain_bill(*rows, head=head), upstream, **{**days, **told})


@pytest.mark.parametrize("name", ["gpt-4.1-2025-04-14", "GPT 4.1", "openai/gpt-4.1", "gpt-4.1", "gpt-4.1-latest"])
def test_a_model_is_known_by_the_names_of_route_and_catalog(asked, upstream, name):
    asked(at=DAY)
    day_of(upstream, f"2026-10-05,{name},0.20")
    assert found() == []


def test_a_name_is_made_plain():
    assert plain("Claude Opus 4.6") == plain("claude-opus-4-6-20260210") == "claude-opus-4-6"
    assert plain("Claude 3.5 Sonnet 2024-10-22") == plain("claude-3-5-sonnet-20241022") == "claude-3-5-sonnet"
    assert plain("deepseek/deepseek-r1:free") == "deepseek/deepseek-r1:free"
    assert plain("20260101") == "20260101"


def test_a_model_that_nobody_sells_is_missing_here(asked, upstream):
    asked(at=DAY)
    day_of(upstream, "2026-10-05,gpt-4.1,0.20", "2026-10-05,o9,0.30")
    assert found() == [(DAY.date(), "missing_here", "o9", Decimal("0.30"), Decimal(0))]


def test_a_day_is_one_of_the_bills_zone(asked, upstream):
    """Five in the afternoon in London is the next day in Shanghai."""
    asked(at=DAY.replace(hour=17))
    asked(at=DAY.replace(hour=15))
    in_shanghai = ("2026-10-05,gpt-4.1,0.20", "2026-10-06,gpt-4.1,0.20")
    days = {"first": DAY.date(), "last": date(2026, 10, 6)}
    bill_of(plain_bill(*in_shanghai), upstream, **days, zone="Asia/Shanghai")
    assert found() == []
    bill_of(plain_bill(*in_shanghai, ""), upstream, **days, zone="UTC")
    assert [(row[0], row[1]) for row in found()] == [
        (DAY.date(), "amount_differs"),
        (date(2026, 10, 6), "missing_here"),
    ]


@pytest.mark.parametrize("told", ["0.20,0.20", "0.40,0"])
def test_a_request_over_midnight_may_be_billed_on_either_day(asked, upstream, told):
    asked(at=DAY.replace(hour=12))
    asked(at=DAY.replace(hour=23, minute=59), lasts=timedelta(minutes=5))
    first, second = told.split(",")
    days = {"first": DAY.date(), "last": date(2026, 10, 6)}
    bill_of(plain_bill(f"2026-10-05,gpt-4.1,{first}", f"2026-10-06,gpt-4.1,{second}"), upstream, **days)
    assert found() == []


def test_a_request_before_the_first_day_is_not_the_bills(asked, upstream):
    asked(at=DAY - timedelta(minutes=10))
    asked(at=DAY + timedelta(days=1))
    asked(at=DAY)
    day_of(upstream, "2026-10-05,gpt-4.1,0.20")
    assert found() == []
    assert UpstreamBill.objects.get().ours == Decimal("0.20")


def test_up_to_a_tolerance_nothing_differs(asked, upstream, settings):
    asked(at=DAY, cost="5")
    settings.BILL_TOLERANCE, settings.BILL_TOLERANCE_SHARE = Decimal("0.01"), Decimal("0.01")
    for number, (amount, differs) in enumerate((("5.05", 0), ("4.96", 0), ("5.06", 1), ("4.94", 1))):
        bill = day_of(upstream, f"2026-10-05,gpt-4.1,{amount}", *[""] * number)
        assert bill.differences == differs, amount
    bill = day_of(upstream, "2026-10-05,gpt-4.1,5.9", tolerance=Decimal(1), share=Decimal(0))
    assert bill.differences == 0


def test_each_line_may_be_off_by_half_of_what_its_format_rounds_to(asked, upstream):
    for number in range(10):
        asked("anthropic/claude-opus-4.6", at=DAY + timedelta(hours=number), cost="0.0045", request_id="")
    head = "usage_date_utc,model,api_key,cost_usd"
    lines = [f"2026-10-05,Claude Opus 4.6,key{number},0.00" for number in range(10)]
    assert day_of(upstream, *lines, head=head).differences == 0
    assert day_of(upstream, *lines[:4], head=head).differences == 1


def test_service_tiers_are_apart_where_the_bill_tells_them(asked, upstream):
    asked(at=DAY, cost="1")
    asked(at=DAY + timedelta(hours=1), cost="2", service_tier="priority")
    asked(at=DAY + timedelta(hours=2), cost="0.5", asked_tier="flex")
    head = "day,model,tier,amount"
    right = ["2026-10-05,gpt-4.1,default,1", "2026-10-05,gpt-4.1,priority,2", "2026-10-05,gpt-4.1,flex,0.5"]
    assert day_of(upstream, *right, head=head).differences == 0
    wrong = [right[0].replace(",1", ",1.5"), right[1].replace(",2", ",1.5"), right[2]]
    day_of(upstream, *wrong, head=head)
    assert [(row.key, row.theirs) for row in Discrepancy.objects.order_by("key")] == [
        ("main:plain:gpt-4-1", Decimal("1.5")),
        ("main:plain:gpt-4-1:priority", Decimal("1.5")),
    ]
    assert day_of(upstream, "2026-10-05,gpt-4.1,3.5").differences == 0


def test_what_was_cached_is_apart_where_the_bill_tells_it(asked, upstream):
    """Billed as fresh input, 400 tokens cost four times as much, and output is told for that much less."""
    asked(at=DAY, cost="0.20")
    cents = {"uncached_input_tokens": "10", "cache_read_input_tokens": "8", "output_tokens": "2"}
    results = [{"model": GPT, "cost_type": "tokens", "token_type": what, "amount": cents[what]} for what in cents]
    page = {"data": [{"starting_at": "2026-10-05T00:00:00Z", "results": results}]}
    bill_of(json.dumps(page).encode(), upstream)
    [row] = Discrepancy.objects.all()
    assert row.detail.partition(";")[0] == "gpt-4-1, cached amount 0.08 / 0.02, output amount 0.02 / 0.08"


def test_searches_without_a_model_are_compared_with_those_of_all(asked, upstream):
    """OpenAI bills them under a name of their own."""
    model = {"id": "openai/gpt-4.1", "upstreams": ["main"], "max_tool_calls": 3, "context_window": 1000}
    price = {"input": "2", "output": "8", "web_search": "10"}
    load_catalog({"upstreams": [], "models": [{**model, "price": price}]})
    asked(at=DAY, cost="0.012", input_tokens=1000, cached_tokens=0, output_tokens=0, more={"web_search": 1})
    head = "start_time,amount_value,amount_currency,line_item"
    begin = int(DAY.timestamp())
    rows = [f'{begin},0.002,usd,"gpt-4.1, input"', f"{begin},0.010,usd,web search tool calls"]
    bill = day_of(upstream, *rows, head=head, tolerance=Decimal("0.0001"))
    assert (bill.differences, bill.theirs, bill.ours) == (0, Decimal("0.012"), Decimal("0.012"))


def test_a_bill_that_names_no_models_is_compared_day_by_day(asked, upstream):
    asked(at=DAY)
    asked("anthropic/claude-opus-4.6", at=DAY, cost="1.70")
    assert day_of(upstream, "2026-10-05,1.90", head="day,amount").differences == 0
    assert day_of(upstream, "2026-10-05,2.00", head="day,amount").differences == 1
    assert Discrepancy.objects.get().key == "main:plain"


@pytest.mark.parametrize(
    "head", ["day,model,amount", "starting_at,model,amount,token_type", "day,model,amount,request_id"]
)
def test_attempts_count_beside_the_request_that_was_charged(asked, upstream, head):
    one = asked(at=DAY, request_id="a")
    used = {"input_tokens": 900, "cached_tokens": 400, "output_tokens": 100, "is_known": True}
    paid = {"purchase_cost": Decimal("0.40"), "purchase_currency": "USD", "purchase_usd": Decimal("0.40")}
    whose = {"generation_id": one.pk, "model": one.model, "upstream": upstream, "ended_at": DAY + timedelta(seconds=2)}
    Attempt.objects.create(**whose, number=1, outcome="abandoned", upstream_request_id="b", **used, **paid)
    rows = {
        "day,model,amount": ["2026-10-05,gpt-4.1,0.60"],
        "starting_at,model,amount,token_type": [
            "2026-10-05,gpt-4.1,30,uncached_input_tokens",
            "2026-10-05,gpt-4.1,6,cache_read_input_tokens",
            "2026-10-05,gpt-4.1,24,output_tokens",
        ],
        "day,model,amount,request_id": ["2026-10-05,gpt-4.1,0.20,a", "2026-10-05,gpt-4.1,0.40,b"],
    }
    bill = day_of(upstream, *rows[head], head=head)
    assert (bill.differences, bill.ours) == (0, Decimal("0.60"))


def test_usage_that_came_late_counts_once(asked, upstream):
    one = asked(at=DAY, cost="0", request_id="a")
    Generation.objects.update(
        state="released", purchase_cost=None, purchase_batch=None, purchase_usd=None, purchase_currency=""
    )
    used = {"input_tokens": 900, "cached_tokens": 400, "output_tokens": 100, "is_known": True}
    paid = {"purchase_cost": Decimal("0.40"), "purchase_currency": "USD", "purchase_usd": Decimal("0.40")}
    whose = {"generation_id": one.pk, "model": one.model, "upstream": upstream, "ended_at": DAY + timedelta(seconds=2)}
    Attempt.objects.create(**whose, number=0, outcome="late", upstream_request_id="a", **used, **paid)
    bill = day_of(upstream, "2026-10-05,gpt-4.1,0.40,1000", head="day,model,amount,tokens")
    assert (bill.differences, bill.ours) == (0, Decimal("0.40"))
    assert {tuple(pair) for one in UpstreamBillSum.objects.all() for pair in one.counts.values()} == {(1000, 1000)}


HEAD_IDS = "day,model,amount,request_id"


def test_what_is_billed_twice_differs(asked, upstream):
    asked(at=DAY, request_id="a")
    row = "2026-10-05,gpt-4.1,0.20,a"
    day_of(upstream, row, row, head=HEAD_IDS)
    assert found() == [(DAY.date(), "amount_differs", "gpt-4-1", Decimal("0.40"), Decimal("0.20"))]


def test_requests_without_an_id_are_compared_as_a_sum_with_what_is_left(asked, upstream):
    asked(at=DAY, request_id="a")
    asked(at=DAY, request_id="")
    rows = ["2026-10-05,gpt-4.1,0.20,a", "2026-10-05,gpt-4.1,0.20,b"]
    assert day_of(upstream, *rows, head=HEAD_IDS).differences == 0
    day_of(upstream, *rows, "2026-10-05,gpt-4.1,0.30,", head=HEAD_IDS)
    assert found() == [(DAY.date(), "amount_differs", "gpt-4-1", Decimal("0.50"), Decimal("0.20"))]


def test_a_request_may_be_logged_a_day_later(asked, upstream):
    asked(at=DAY.replace(hour=23, minute=59), lasts=timedelta(minutes=2), request_id="a")
    days = {"first": DAY.date(), "last": date(2026, 10, 6)}
    bill_of(plain_bill("2026-10-06,gpt-4.1,0.20,a", head=HEAD_IDS), upstream, **days)
    assert found() == []


def test_upstreams_of_one_account_have_one_bill(asked, upstream):
    other = Upstream.objects.create(name="other", protocol="openai", base_url="https://b.example.com", account="acc")
    Upstream.objects.filter(pk=upstream.pk).update(account="acc")
    upstream.refresh_from_db()
    asked(at=DAY)
    one = asked(at=DAY)
    type(one).objects.filter(pk=one.pk).update(upstream=other)
    assert day_of(upstream, "2026-10-05,gpt-4.1,0.40").differences == 0


def test_what_is_paid_in_another_currency_counts_at_the_newest_rate(asked, upstream, monkeypatch):
    Upstream.objects.filter(pk=upstream.pk).update(currency="CNY")
    upstream.refresh_from_db()
    asked(at=DAY, cost="1.00")
    asked(at=DAY, cost="3.00", purchase_currency="CNY", purchase_usd=Decimal("0.4"))
    row = "2026-10-05,gpt-4.1,10.00,CNY"
    with monkeypatch.context() as patch:
        patch.setattr(rates, "newest", lambda currency, *, now: None)
        with pytest.raises(NoRate, match="no exchange rate for CNY"):
            day_of(upstream, row, head="day,model,amount,currency")
        assert work.finish_all(now=NOW) == 0
        assert UpstreamBill.objects.get().problem == "there is no exchange rate for CNY"
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=NOW)
    work.finish_all(now=NOW)
    bill = UpstreamBill.objects.get()
    assert (bill.state, bill.currency, bill.ours, bill.differences) == ("compared", "CNY", Decimal(10), 0)


def test_the_same_file_again_changes_nothing(month, upstream):
    billed = [written.of(one) for one in month][1:]
    content = written.openrouter(billed)
    first, before = bill_of(content, upstream), list(Discrepancy.objects.values())
    again = bill_of(content, upstream)
    assert first.pk == again.pk
    assert UpstreamBillLine.objects.count() == len(billed)
    assert list(Discrepancy.objects.values()) == before
    assert len(before) == 1


def test_a_later_bill_of_the_same_days_takes_the_place_of_the_first(month, upstream):
    billed = [written.of(one) for one in month]
    wrong = bill_of(written.openrouter(billed[1:]), upstream)
    assert len(found()) == 1
    right = bill_of(written.openrouter(billed), upstream)
    wrong.refresh_from_db()
    assert (wrong.state, right.state) == ("replaced", "compared")
    assert found() == []
    assert Discrepancy.objects.get().state == "cured"
    assert not UpstreamBillLine.objects.filter(bill=wrong).exists()


def test_a_bill_of_more_days_covers_others_and_none_covers_a_part(asked, upstream):
    asked(at=DAY)
    week = {"first": date(2026, 10, 5), "last": date(2026, 10, 11)}
    first = bill_of(plain_bill("2026-10-05,gpt-4.1,0.20"), upstream, **week)
    with pytest.raises(BillError, match="there is a bill of 2026-10-05 to 2026-10-11"):
        bill_of(plain_bill("2026-10-05,gpt-4.1,0.20"), upstream, first=date(2026, 10, 1), last=DAY.date())
    bill_of(plain_bill("2026-10-05,gpt-4.1,0.20"), upstream, first=FIRST, last=LAST)
    first.refresh_from_db()
    assert first.state == "replaced"
    head = "date,slug,usage"
    assert bill_of(plain_bill("2026-10-05,gpt-4.1,0.20", head=head), upstream, **week).state == "compared"


def test_bills_of_other_upstreams_and_formats_leave_each_others_differences(asked, upstream):
    asked(at=DAY)
    other = Upstream.objects.create(name="other", protocol="openai", base_url="https://b.example.com")
    day_of(upstream, "2026-10-05,gpt-4.1,0.90")
    day_of(other, "2026-10-05,gpt-4.1,0.80")
    day_of(upstream, "2026-10-05,gpt-4.1,0.20", head="date,slug,usage")
    keys = list(Discrepancy.objects.filter(state="open").order_by("key").values_list("key", flat=True))
    assert keys == ["main:plain:gpt-4-1", "other:plain:gpt-4-1"]


def test_what_finance_explained_stays_explained(asked, upstream):
    asked(at=DAY)
    day_of(upstream, "2026-10-05,gpt-4.1,0.90")
    by = User.objects.create_user("fin@example.org", "a rather long one")
    row = Discrepancy.objects.get()
    assert queue.explain(discrepancy_id=row.pk, note="a free month", by_id=by.pk, now=NOW)
    day_of(upstream, "2026-10-05,gpt-4.1,0.90", "")
    row.refresh_from_db()
    assert row.state == "explained"
    day_of(upstream, "2026-10-05,gpt-4.1,0.95", "")
    row.refresh_from_db()
    assert row.state == "open"


def test_an_entry_puts_a_difference_on_what_the_upstream_takes(asked, upstream):
    asked(at=DAY)
    day_of(upstream, "2026-10-05,gpt-4.1,0.90")
    suggested = resolving.suggestion(Discrepancy.objects.get())
    assert (suggested["debit"], suggested["amount"]) == ("expense:upstream:main:USD", "0.70")
