"""Exchange rates age whoever set them; a jump needs two; what is sold includes the spread."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from payments.models import ExchangeRate
from payments.topups import fx
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _variable(settings):
    settings.USD_CNY_RATE, settings.FX_RATE_MAX_AGE_DAYS = Decimal("7.12"), 30


def rate(now=NOW) -> Decimal:
    return fx.current_rate(now=now).rate


def test_the_variable_is_the_first_rate_and_ages_like_any_other():
    assert rate() == Decimal("7.12")
    assert rate(NOW + timedelta(days=30)) == Decimal("7.12")
    with pytest.raises(fx.NoRate):
        rate(NOW + timedelta(days=30, seconds=1))
    assert ExchangeRate.objects.count() == 1


def test_a_changed_variable_is_a_new_row_and_an_unchanged_one_is_none(settings):
    rate()
    later = NOW + timedelta(days=20)
    settings.USD_CNY_RATE = Decimal("7.20")
    assert rate(later) == rate(later) == Decimal("7.20")
    assert rate(NOW + timedelta(days=45)) == Decimal("7.20")
    assert ExchangeRate.objects.count() == 2


def test_staffs_rate_stands_while_the_variable_says_nothing_new():
    rate()
    fx.set_rate(Decimal("7.15"), source="bank", by=in_role("finance"), now=NOW)
    assert rate(NOW + timedelta(days=1)) == Decimal("7.15")


@pytest.mark.parametrize("jump", ["1.12", "7.34", "6.90", "71.2"])
def test_a_jump_needs_a_second_person_wherever_it_comes_from(settings, jump):
    rate()
    first, second = in_role("finance"), in_role("finance", "second@staff.example.org")
    made = fx.set_rate(Decimal(jump), source="bank", by=first, now=NOW)
    assert rate() == Decimal("7.12")
    with pytest.raises(fx.RateError):
        fx.confirm(rate_id=made.pk, by=first, now=NOW)
    fx.confirm(rate_id=made.pk, by=second, now=NOW + timedelta(hours=1))
    assert rate(NOW) == Decimal("7.12"), "not before it was confirmed"
    assert rate(NOW + timedelta(hours=1)) == Decimal(jump)
    settings.USD_CNY_RATE = Decimal("12.00")
    assert rate(NOW + timedelta(hours=2)) == Decimal(jump)
    assert fx.waiting().get().source == "USD_CNY_RATE"


def test_a_jump_cut_into_small_steps_needs_a_second_person_too():
    rate()
    first, second = in_role("finance"), in_role("finance", "second@staff.example.org")
    for step in ("7.19", "7.30"):
        assert not fx.set_rate(Decimal(step), source="bank", by=first, now=NOW + timedelta(hours=1)).needs_second
    made = fx.set_rate(Decimal("7.45"), source="bank", by=first, now=NOW + timedelta(hours=2))
    assert (made.needs_second, rate(NOW + timedelta(hours=3))) == (True, Decimal("7.30"))
    fx.confirm(rate_id=made.pk, by=second, now=NOW + timedelta(hours=3))
    for step, is_jump in (("7.60", False), ("7.55", False), ("7.75", True)):  # the confirmed one is the measure now
        assert fx.set_rate(Decimal(step), source="bank", by=first, now=NOW + timedelta(hours=4)).needs_second == is_jump
    later = fx.set_rate(Decimal("7.50"), source="bank", by=first, now=NOW + timedelta(days=3))
    assert not later.needs_second


def test_a_dropped_rate_is_never_live():
    rate()
    made = fx.set_rate(Decimal(9), source="bank", by=in_role("finance"), now=NOW)
    fx.drop(rate_id=made.pk, now=NOW)
    with pytest.raises(fx.RateError):
        fx.confirm(rate_id=made.pk, by=in_role("finance", "second@staff.example.org"), now=NOW)
    assert rate() == Decimal("7.12")


def test_a_dollar_is_sold_with_the_spread_on_it(settings):
    settings.FX_SPREAD = Decimal("0.01")
    assert fx.sold_at(fx.current_rate(now=NOW)) == Decimal("7.191200")
    assert not fx.has_moved(Decimal("7.1912"), now=NOW)
    assert fx.has_moved(Decimal("7.00"), now=NOW)


def test_the_desk_asks_with_the_effect_and_two_decide():
    fx.set_rate(Decimal("7.12"), source="bank", by=None, now=NOW)
    first, second = in_role("finance"), in_role("finance", "second@staff.example.org")
    add, form = reverse("admin:payments_exchangerate_add"), {"rate": "71.2", "source": "bank"}
    page = at_desk(first).post(add, form).content.decode()
    assert "$20 will cost ¥1,424.00, now ¥142.40" in page
    assert at_desk(first).post(add, form | {"sure": "on"}).status_code == 302
    waiting = fx.waiting().get()
    confirm = reverse("admin:payments_exchangerate_confirm", args=[waiting.pk])
    assert at_desk(second).get(confirm).status_code == 200
    at_desk(first).post(confirm)
    assert fx.waiting().exists()
    at_desk(second).post(confirm)
    assert ExchangeRate.objects.get(pk=waiting.pk).is_live
    assert at_desk(in_role("support")).post(confirm).status_code == 403


@pytest.mark.parametrize("wrong", ["0.712", "712", "-1", "x"])
def test_a_rate_that_cannot_be_is_refused_in_words(wrong):
    page = at_desk(in_role("finance")).post(reverse("admin:payments_exchangerate_add"), {"rate": wrong, "source": "b"})
    assert page.status_code == 200
    assert "exchange_rate_plausible" not in page.content.decode()
    assert not ExchangeRate.objects.exists()
