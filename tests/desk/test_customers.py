"""Staff see how far usage may take a customer below zero, and why."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.people import customers
from billing.models import Wallet
from desk.customers.words import overrun_words
from tests.conftest import NOW, pay_in
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db
WEEK = timedelta(days=7)


def words(customer, *, at=NOW + WEEK) -> str:
    return overrun_words(customer, now=at)


def test_the_allowance_is_told_with_its_sum_and_what_is_open_of_it(customer):
    pay_in(customer, "8.00", at=NOW)
    Wallet.objects.update(exposure=Decimal("0.125"))
    assert words(customer) == (
        "by $0.4000: 5 % of the $8.00 paid in and not taken back, at most $1.00;"
        " open requests may cost $0.1250 beyond what is held"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"disputed": 1}, "nothing, as a payment is disputed"),
        ({"written_off": 1}, "nothing, as a debt was written off"),
        ({"paid_in": 0}, "nothing, as all that was paid in went back"),
    ],
)
def test_where_there_is_none_the_reason_is_told(customer, change, says):
    pay_in(customer, "8.00", at=NOW)
    Wallet.objects.update(**change)
    assert words(customer).startswith(says)


def test_a_first_payment_names_the_day_from_which_on_it_counts(customer):
    pay_in(customer, "8.00", at=NOW)
    assert words(customer, at=NOW).startswith("nothing before 2026-11-30, or a second payment on a later day")


def test_a_setting_of_nothing_and_a_suspension_are_told(customer, settings):
    pay_in(customer, "8.00", at=NOW)
    settings.OVERRUN_LIMIT = Decimal(0)
    assert words(customer).startswith("nothing: the setting OVERRUN_LIMIT is 0")
    customers.suspend(customer=customer, reason="why", now=NOW)
    customer.refresh_from_db()
    assert words(customer).startswith("nothing while suspended")


def test_the_customers_page_shows_it(customer):
    page = at_desk(in_role("support")).get(f"/admin/accounts/customer/{customer.pk}/change/").content.decode()
    assert "nothing: this customer has not paid in; open requests may cost $0.0000" in page
