"""The totals of days that margins are read from: what was charged, what it cost, and what is not known."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from accounts.models import Customer
from billing.audit.run import audit
from billing.books.reversals import reverse
from core.arrays import columns
from payments.models import ExchangeRate
from payments.topups import fx
from proxy.models import CustomerMarginDay, Generation, MarginDay, PurchaseBatch
from proxy.prices.usage import Usage
from proxy.purchases import dollars, margin, posting
from proxy.settlement import metered, settle
from tests.conftest import NOW, pay_in
from tests.proxy.purchases.conftest import CHARGED, LIST, TOKENS, load
from tests.proxy.purchases.test_posting import IN_FLIGHT, YUAN, release_then_hear

pytestmark = pytest.mark.django_db
ZERO = Decimal(0)
LATER = NOW + timedelta(seconds=5)
UNBELIEVABLE = Usage(input_tokens=100_001, output_tokens=1)


@pytest.fixture
def customer(make_customer: Any, request: Any) -> Customer:
    """With bonus for everything, or with so much of it and paid balance."""
    made: Customer = make_customer(getattr(request, "param", "10"))
    if hasattr(request, "param"):
        pay_in(made, "5", at=NOW)
    return made


A_CENT_OF_BONUS = pytest.mark.parametrize("customer", ["0.01"], indirect=True)


def post() -> int:
    return posting.post_all_purchases(now=LATER)


def row(**where: Any) -> dict[str, Any]:
    """The figures of the only day, which are those of its customer too, without noughts."""
    [by_model] = MarginDay.objects.filter(**where).values(*margin.FIGURES)
    [by_customer] = CustomerMarginDay.objects.filter(**where).values(*margin.FIGURES)
    assert by_model == by_customer
    return {name: value for name, value in by_model.items() if value and name != "bonus"}


def test_a_request_adds_what_it_was_charged_and_what_it_cost(answered):
    load(main={"input": "1", "output": "2"})
    answered()
    post()
    assert row() == {"requests": 1, "charged": CHARGED, "listed": LIST, "purchase": Decimal("0.003")}
    [found] = MarginDay.objects.values_list("day", "model__slug", "upstream__name")
    assert found == (NOW.date(), "anthropic/m", "main")
    assert not audit().drifts


def test_requests_of_a_day_are_summed_by_model_and_upstream_and_by_customer(answered, make_customer):
    load(domestic=YUAN)
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=NOW)
    for upstream in ("main", "domestic", "main"):
        answered(upstream=upstream)
    post()
    answered()
    post()
    found = MarginDay.objects.order_by("upstream__name").values_list("requests", "charged", "purchase")
    assert list(found) == [(1, CHARGED, Decimal("0.004")), (3, 3 * CHARGED, 3 * LIST)]
    assert CustomerMarginDay.objects.get().requests == 4
    assert not audit().drifts


def test_a_day_is_one_of_the_books(answered, settings):
    load()
    late = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
    settings.BOOKS_TIME_ZONE = ZoneInfo("Asia/Shanghai")
    answered(at=late)
    post()
    assert MarginDay.objects.get().day == date(2026, 11, 24)
    assert not audit().drifts


@A_CENT_OF_BONUS
def test_what_was_paid_from_bonus_is_told_apart(answered):
    load()
    answered()
    post()
    assert MarginDay.objects.get().bonus == Decimal("0.01")


def test_a_claim_that_cannot_be_believed_has_no_cost_and_its_list_cost_stands_apart(answered):
    load()
    one = answered(usage=UNBELIEVABLE)
    post()
    cost = Generation.objects.get().upstream_cost
    assert row() == {"requests": 1, "charged": one.cost, "listed": cost, "unknown": 1, "unknown_listed": cost}
    assert not audit().drifts


def test_what_has_no_value_in_dollars_is_counted(answered, settings):
    settings.USD_CNY_RATE = None
    ExchangeRate.objects.all().delete()
    load(domestic=YUAN)
    answered(upstream="domestic")
    post()
    assert row() == {"requests": 1, "charged": CHARGED, "listed": LIST, "unrated": 1}
    assert not audit().drifts


def test_a_cost_in_dollars_that_is_known_later_is_added_to_the_day_of_its_request(answered, settings):
    settings.USD_CNY_RATE = None
    ExchangeRate.objects.all().delete()
    load(domestic=YUAN)
    answered(upstream="domestic")
    post()
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=LATER)
    assert dollars.fill_in(now=LATER + timedelta(seconds=1)) == 1
    assert row() == {"requests": 1, "charged": CHARGED, "listed": LIST, "purchase": Decimal("0.004")}
    assert not audit().drifts


def test_usage_that_comes_after_a_release_costs_and_was_charged_nothing(answered):
    load()
    release_then_hear(answered(**IN_FLIGHT), TOKENS)
    post()
    assert row() == {"listed": LIST, "purchase": LIST}
    assert not audit().drifts


def test_a_claim_of_absurd_size_is_counted_all_the_same(answered):
    load()
    one = answered(**IN_FLIGHT)
    settle.release([one.pk], reason="abandoned", now=NOW)
    absurd = Usage(input_tokens=9 * 10**18, output_tokens=9 * 10**18)
    cost = metered.Cost(upstream=LIST, charged=CHARGED)
    late = metered.Metered(one.pk, one.upstream_id, "upstream", "completed", "stop", absurd, absurd, cost, 1, 2)
    with connection.cursor() as cursor:
        cursor.execute(metered.TOO_LATE, columns([late.row()]))
    assert post() == 1
    assert row()["unknown"] == 1


def test_a_charge_that_is_given_back_is_a_correction_of_the_day_it_is(answered):
    load()
    one = answered()
    post()
    reverse(generation_id=one.pk, now=NOW + timedelta(days=1))
    assert row(day=NOW.date())["charged"] == CHARGED
    assert row(day=NOW.date() + timedelta(days=1)) == {"corrected": -CHARGED}
    assert sum(MarginDay.objects.values_list("bonus", flat=True)) == 0
    reverse(generation_id=one.pk, now=NOW)
    assert row(day=NOW.date() + timedelta(days=1))["corrected"] == -CHARGED
    assert not audit().drifts


def test_a_charge_that_is_given_back_before_its_purchase_is_posted_is_counted_once(answered):
    load()
    one = answered()
    reverse(generation_id=one.pk, now=NOW)
    assert not MarginDay.objects.exists()
    post()
    assert row() == {"requests": 1, "charged": CHARGED, "corrected": -CHARGED, "listed": LIST, "purchase": LIST}
    assert not audit().drifts


def test_a_request_from_before_there_were_totals_stays_out_of_them(answered):
    load()
    one = answered()
    post()
    PurchaseBatch.objects.update(is_counted=False)
    MarginDay.objects.all().delete()
    CustomerMarginDay.objects.all().delete()
    reverse(generation_id=one.pk, now=NOW)
    assert not MarginDay.objects.exists()
    assert not audit().drifts


def test_killed_while_it_counts_it_counts_once_the_next_time(answered, monkeypatch):
    load()
    answered()

    def die(*_args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(margin, "add", die)
        with pytest.raises(KeyboardInterrupt):
            post()
    assert not MarginDay.objects.exists()
    post()
    post()
    assert row()["requests"] == 1


def test_the_audit_finds_totals_that_are_not_those_of_their_requests(answered):
    load()
    answered()
    post()
    MarginDay.objects.update(purchase=1, requests=2)
    assert audit().drifts == [
        "margin of anthropic/m at main on 2026-11-23: requests is 2, by its requests it is 1",
        f"margin of anthropic/m at main on 2026-11-23: purchase is 1.00000000, by its requests it is {LIST:f}",
        "margin on 2026-11-23: the totals by customer are not those by model",
    ]
    MarginDay.objects.all().delete()
    assert len(audit().drifts) == 4


def test_the_audit_finds_a_correction_that_was_not_counted(answered):
    load()
    one = answered()
    post()
    reverse(generation_id=one.pk, now=NOW)
    MarginDay.objects.update(corrected=0)
    assert audit().drifts == [
        f"margin of anthropic/m at main: corrections are 0.00000000, by its requests they are {-CHARGED:f}",
        f"margin on {NOW.date()}: the totals by customer are not those by model",
    ]


def test_what_is_counted_while_the_audit_reads_is_no_drift(answered, monkeypatch):
    from proxy.purchases import margin_audit

    load()
    answered()
    post()
    pages = margin_audit.pages

    def late(*args: Any, **options: Any) -> Any:
        yield from pages(*args, **options)
        answered()
        post()

    monkeypatch.setattr(margin_audit, "pages", late)
    assert not audit().drifts
