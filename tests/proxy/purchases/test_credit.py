"""Credit that is bought from an upstream beforehand is watched: what is left of it, and whether that is little."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError

from billing.months import journal
from proxy.models import Upstream
from proxy.purchases import credit, posting
from tests.conftest import NOW
from tests.proxy.purchases.conftest import load
from tests.proxy.purchases.test_bills import book
from tests.proxy.purchases.test_posting import YUAN

pytestmark = pytest.mark.django_db


def alarm(below: str | None, *, name: str = "domestic") -> None:
    Upstream.objects.filter(name=name).update(credit_alarm=below)


def left() -> list[tuple[str, str, Decimal, bool]]:
    return [(one.upstream, one.currency, one.amount, one.is_low) for one in credit.watched()]


def test_only_upstreams_in_use_that_have_an_alarm_are_watched():
    load()
    assert left() == []
    alarm("100")
    assert left() == [("domestic", "CNY", Decimal(0), True)]
    Upstream.objects.update(is_active=False)
    assert left() == []


def test_what_requests_cost_is_taken_off_what_was_bought(answered):
    load(domestic=YUAN)
    alarm("999.98")
    book()
    assert left() == [("domestic", "CNY", Decimal(1000), False)]
    answered(upstream="domestic")
    posting.post_all_purchases(now=NOW)
    assert left() == [("domestic", "CNY", Decimal("999.972"), True)]
    journal.close_days(now=NOW + timedelta(days=2))
    assert left() == [("domestic", "CNY", Decimal("999.972"), True)]
    alarm("999.97")
    assert left()[0][3] is False


def test_what_is_owed_in_another_currency_is_no_credit(answered):
    load()
    alarm("0")
    answered(upstream="domestic")
    posting.post_all_purchases(now=NOW)
    assert left() == [("domestic", "CNY", Decimal(0), False)]


def test_an_upstream_that_is_paid_afterwards_owes_less_than_nothing(answered):
    load()
    alarm("0", name="main")
    answered()
    posting.post_all_purchases(now=NOW)
    assert left() == [("main", "USD", Decimal("-0.0135"), True)]


def test_an_alarm_is_no_debt():
    load()
    with pytest.raises(IntegrityError):
        alarm("-1")
