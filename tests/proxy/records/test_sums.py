"""The sums of days: fed by SETTLE and by corrections, counted afterwards where they were not, and audited."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from accounts.models import ApiKey, Customer
from billing.audit.run import audit
from billing.books.reversals import reverse
from billing.models import Transfer
from proxy.models import ChargeCorrection, Generation, UsageDay
from proxy.prices.loading import set_price
from proxy.records import sums
from proxy.records.sums import By, Chosen
from proxy.settlement import counting
from tests.conftest import NOW
from tests.proxy.rerating import rerating_steps as rerating

DAY = NOW.date()
LATER = NOW + timedelta(days=3)


def forget() -> None:
    """As a version without sums leaves what it settles."""
    Generation.objects.update(charged_on=None, maker=None)
    ChargeCorrection.objects.all().delete()
    UsageDay.objects.all().delete()


def cost_of(customer, first=DAY - timedelta(days=400), last=DAY + timedelta(days=400), **chosen) -> Decimal:
    return sums.total(customer, of=Chosen(first=first, last=last, **chosen)).cost


def moved() -> Decimal:
    """What requests took of all wallets, by their transfers."""
    taken = sum(t.amount for t in Transfer.objects.filter(kind__in=["usage", "usage_bonus", "rerate_up"]))
    return taken - sum(t.amount for t in Transfer.objects.filter(kind__in=["reversal", "rerate"]))


def test_settlement_adds_each_request_to_its_day_model_key_and_member(make_request, customer, user):
    ApiKey.objects.update(created_by=user)
    for model in ("anthropic/claude-sonnet-4-6", "openai/gpt-4.1-nano", "openai/gpt-4.1-nano"):
        make_request(model=model)
    nano = UsageDay.objects.get(model__slug="openai/gpt-4.1-nano")
    assert (nano.day, nano.maker_id, nano.requests, nano.input_tokens, nano.output_tokens) == (
        DAY,
        user.pk,
        2,
        4000,
        1000,
    )
    assert UsageDay.objects.count() == 2
    assert cost_of(customer) == moved() > 0
    assert cost_of(customer, member_id=user.pk) == moved()
    assert not audit().drifts


def test_a_day_is_one_of_the_accounts_zone_when_it_is_charged(make_request, customer):
    Customer.objects.update(time_zone="Asia/Kathmandu")  # 5:45 ahead
    make_request(at=datetime(2026, 11, 23, 18, 14, 50, tzinfo=UTC))
    make_request(at=datetime(2026, 11, 23, 18, 15, tzinfo=UTC))
    Customer.objects.update(time_zone="America/New_York")
    assert sorted(UsageDay.objects.values_list("day", "requests")) == [(date(2026, 11, 23), 1), (date(2026, 11, 24), 1)]
    make_request(at=datetime(2026, 11, 24, 4, 59, tzinfo=UTC))
    assert cost_of(customer, DAY, DAY) == 2 * cost_of(customer, DAY + timedelta(days=1), DAY + timedelta(days=1))
    assert not audit().drifts


def test_what_cost_nothing_and_used_nothing_is_in_no_day(make_request):
    make_request(usage_source="none", cost=Decimal(0))
    make_request(state="held")
    assert not UsageDay.objects.exists()
    assert set(Generation.objects.values_list("charged_on", flat=True)) == {None}
    assert not audit().drifts


@pytest.mark.parametrize("is_counted", [True, False], ids=["counted", "not counted yet"])
def test_a_charge_given_back_is_taken_off_the_day_on_which_it_goes(make_request, customer, is_counted):
    make_request()
    gone = make_request(at=NOW + timedelta(minutes=1))
    if not is_counted:
        forget()
    reverse(generation_id=gone.pk, now=LATER)
    counting.count_left()
    assert {row.day: (row.requests, row.corrected) for row in UsageDay.objects.all()} == {
        DAY: (2, 0),
        LATER.date(): (0, -gone.cost),
    }
    assert cost_of(customer) == moved()
    assert not audit().drifts


def test_a_rerating_is_taken_off_too(make_request, customer):
    for _ in range(3):
        model = make_request(model="openai/gpt-4.1-nano").model
    with transaction.atomic():
        set_price(model, {"input": "0.05", "output": "0.2"}, where=model.slug)
    rerating.approved(model.prices.latest("version"), now=LATER)
    assert cost_of(customer) == moved()
    assert cost_of(customer, LATER.date(), LATER.date()) < 0
    assert ChargeCorrection.objects.count() == 3
    assert not audit().drifts


def test_what_was_settled_without_sums_is_right_before_it_is_counted_and_after(make_request, customer, user):
    ApiKey.objects.update(created_by=user)
    Customer.objects.update(time_zone="Asia/Shanghai")
    customer.refresh_from_db()
    for hours in (0, 3, 3, 30):
        make_request(at=NOW + timedelta(hours=hours))
    reverse(generation_id=Generation.objects.latest("pk").pk, now=NOW + timedelta(hours=31))
    forget()
    chosen = Chosen(first=DAY, last=DAY + timedelta(days=2))
    before = [sums.grouped(customer, by, of=chosen) for by in By]
    assert [sum(group.figures.requests for group in groups) for groups in before] == [4, 4, 4, 4]
    make_request(at=NOW + timedelta(hours=4))
    with_sums = sums.grouped(customer, By.DAY, of=chosen)
    done = []
    while count := counting.count_left(most=3):
        done.append(count)
        assert sums.grouped(customer, By.DAY, of=chosen) == with_sums
        assert not audit().drifts
    assert done == [3, 1]
    assert cost_of(customer) == moved()
    assert not Generation.objects.filter(state="settled", charged_on=None).exists()


@pytest.mark.parametrize("name", ["requests", "input_tokens", "output_tokens", "cached_tokens", "charged", "corrected"])
def test_the_audit_sees_a_sum_that_somebody_changed(make_request, customer, name):
    make_request()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE proxy_usageday SET {name} = {name} + 1")
    [drift] = audit(customer_ids=[customer.pk]).drifts
    assert f"{name} is" in drift
    assert [drift] == audit().drifts


def test_the_audit_sees_a_correction_that_is_not_counted_and_a_row_too_many(make_request):
    generation = make_request()
    Generation.objects.update(corrected_cost=Decimal(0))
    drifts = audit().drifts
    assert any("counted as corrected by 0" in drift for drift in drifts)
    Generation.objects.update(corrected_cost=None)
    row = UsageDay.objects.get()
    UsageDay.objects.create(
        customer=row.customer,
        day=row.day,
        model_id=row.model_id,
        key_id=row.key_id,
        maker_id=99,
        requests=0,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        charged=generation.cost,
        corrected=0,
    )
    [drift] = audit().drifts
    assert "user 99" in drift
