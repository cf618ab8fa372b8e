"""A form of the desk is saved as a whole row; what others make of the row meanwhile is kept."""

import threading
import time

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.people.customers import suspend
from billing.models import InvoiceSeries
from tests.billing.conftest import in_threads
from tests.payments.invoice_page_steps import series
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["series"]


def save_while(desk, page, changes, meanwhile):
    """Post the form just before `meanwhile` is committed; the answer."""
    shown = desk.get(page).context
    form = shown["adminform"].form
    values = {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}
    for inline in shown["inline_admin_formsets"]:
        values |= {f"{inline.formset.prefix}-{name}_FORMS": "0" for name in ("TOTAL", "INITIAL")}
    is_written = threading.Event()

    def write():
        with transaction.atomic():
            meanwhile()
            is_written.set()
            time.sleep(0.5)

    def save():
        assert is_written.wait(10)
        return desk.post(page, values | changes)

    answer, _ = in_threads(save, write)
    assert answer.status_code == 302, answer
    return answer


def test_a_customer_suspended_while_their_name_is_changed_stays_suspended(customer):
    page = f"/admin/accounts/customer/{customer.pk}/change/"
    save_while(
        at_desk(in_role("support")),
        page,
        {"name": "Ada King"},
        lambda: suspend(customer=customer, reason="early fraud warning", now=timezone.now()),
    )
    customer.refresh_from_db()
    assert (customer.name, customer.suspended_reason) == ("Ada King", "early fraud warning")


def test_a_series_may_be_saved_while_its_numbers_are_taken(series):
    page = f"/admin/billing/invoiceseries/{series.pk}/change/"
    save_while(
        at_desk(in_role("finance")),
        page,
        {"seller_name_en": "Chuizi Holding", "why": "renamed"},
        lambda: InvoiceSeries.objects.filter(pk=series.pk).update(next_number=5),
    )
    series.refresh_from_db()
    assert (series.seller_name_en, series.next_number) == ("Chuizi Holding", 5)
