"""Credit that is bought from an upstream beforehand is watched: what is left of it, and whether that is little."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.urls import reverse

from billing.months import journal
from proxy.models import Upstream
from proxy.purchases import credit, posting
from tests.conftest import NOW
from tests.proxy.purchases.conftest import load
from tests.proxy.purchases.test_bills import book
from tests.proxy.purchases.test_posting import YUAN
from tests.staffing import at_desk, in_role

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


def test_an_upstreams_page_takes_the_alarm_and_says_what_is_left():
    load()
    book()
    upstream = Upstream.objects.get(name="domestic")
    desk, path = at_desk(in_role("operator")), reverse("admin:proxy_upstream_change", args=[upstream.pk])
    page = desk.get(path)
    assert "1,000.00 CNY" in page.content.decode()
    given = {name: value for name, value in page.context["adminform"].form.initial.items() if value is not None}
    given |= {"base_url": "https://api.example.com/v1", "new_api_key": "k", "why": "x"}
    refused = desk.post(path, {**given, "credit_alarm": "-1"})
    assert "An alarm is set at zero or above." in refused.content.decode()
    refused = desk.post(path, {**given, "max_concurrency": "0"})
    assert "At least one at once" in refused.content.decode()
    assert desk.post(path, {**given, "credit_alarm": "250.50", "max_concurrency": "7"}).status_code == 302
    assert left() == [("domestic", "CNY", Decimal(1000), False)]
    upstream.refresh_from_db()
    assert (upstream.credit_alarm, upstream.max_concurrency) == (Decimal("250.50"), 7)
