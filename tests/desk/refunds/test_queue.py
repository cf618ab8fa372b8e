"""The queue of refunds: what waits for staff alone, in words that everybody reads alike, and the page of one."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.models import RefundRequest
from tests.conftest import pay_in
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def support():
    return in_role("support")


@pytest.fixture
def ask(customer, user):
    pay_in(customer, "900", at=timezone.now())

    def ask(amount="30.00", **beside):
        return refunds.ask(customer=customer, amount=amount, reason="No use for it", now=timezone.now(), **beside)

    return ask


def text_of(answer) -> str:
    return " ".join(answer.content.decode().split())


def page_of(refund) -> str:
    return reverse("admin:billing_refundrequest_change", args=[refund.pk])


def test_what_waits_for_the_customer_is_not_in_staffs_queue_and_says_so_everywhere(ask, customer, user, support):
    asked, waiting = ask(), ask()
    refunds.ask_back(refund_id=asked.pk, question="Which payment?", by=support, now=timezone.now())
    desk, queue = at_desk(support), reverse("admin:billing_refundrequest_changelist")
    listed = text_of(desk.get(queue))
    assert (asked.number in listed, waiting.number in listed) == (False, True)
    listed = text_of(desk.get(f"{queue}?queue=asked"))
    assert (asked.number in listed, waiting.number in listed) == (True, False)
    assert "needs the customer&#x27;s answer" in listed
    assert "Next in the queue" not in text_of(desk.get(page_of(waiting)))
    assert "needs the customer's answer" in text_of(desk.get(page_of(asked)))
    first = text_of(desk.get("/admin/"))
    assert re.search(r"Refunds at the desk</dt><dd[^>]*><a[^>]*>1<", first)
    assert re.search(r"Refunds that wait for the customer</dt><dd[^>]*><a[^>]*>1<", first)

    theirs = Client()
    theirs.force_login(user)
    assert "needs your answer" in text_of(theirs.get(reverse("refunds")))
    assert "goes on when you have answered" in text_of(theirs.get(reverse("refund-show", args=[asked.number])))
    assert "It needs your answer" in text_of(theirs.get("/console/"))

    theirs.post(reverse("refund-show", args=[asked.number]), {"answer": "The last one"})
    assert "needs your answer" not in text_of(theirs.get(reverse("refunds")))
    assert asked.number in text_of(desk.get(queue))


def test_the_next_one_is_the_one_behind_and_never_what_waits_for_somebody_else(ask, support):
    first, second, large = ask(), ask(), ask("500.00")
    refunds.propose(refund_id=large.pk, amount="500.00", by=support, now=timezone.now())
    desk = at_desk(support)

    def after(refund):
        page = text_of(desk.get(page_of(refund))).partition("Next in the queue")[2]
        return re.search(r'href="([^"]+)"', page)[1]

    assert [after(first), after(second), after(large)] == [page_of(second), page_of(first), page_of(first)]
    others = at_desk(in_role("finance"))
    assert page_of(large) in text_of(others.get(page_of(second))).partition("Next in the queue")[2]


def test_the_time_until_it_is_due_goes_on_with_the_answer(ask, support):
    refund, now = ask(), timezone.now()
    refunds.ask_back(refund_id=refund.pk, question="Which payment?", by=support, now=now)
    refunds.answer(refund_id=refund.pk, text="The last one", now=now + timedelta(days=2))
    due = refund.due_at
    refund.refresh_from_db()
    assert refund.due_at == due + timedelta(days=2)


def test_a_part_of_what_was_asked_is_said_to_be_one(ask, customer, user, support):
    refund = ask("30.00")
    refunds.approve(refund_id=refund.pk, amount="10.00", words="", by=support, now=timezone.now())
    listed = text_of(at_desk(support).get(f"{reverse('admin:billing_refundrequest_changelist')}?queue=all"))
    assert "$10.00 of $30.00" in listed
    assert "$10.00 of $30.00" in text_of(at_desk(support).get(page_of(refund)))
    theirs = Client()
    theirs.force_login(user)
    assert "$10.00 of $30.00" in text_of(theirs.get(reverse("refunds")))
    assert RefundRequest(amount=Decimal(30), approved=Decimal(30)).granted is None


@pytest.mark.parametrize(("role", "button"), [("support", "Propose"), ("finance", "Propose")])
def test_the_first_button_is_what_this_person_may_do(ask, role, button):
    large, small = ask("500.00"), ask("20.00")
    desk = at_desk(in_role(role, "other@staff.example.org"))
    first = re.compile(r'<button class="go"[^>]*>(\w+)<')
    assert first.search(text_of(desk.get(page_of(large))))[1] == button
    assert first.search(text_of(desk.get(page_of(small))))[1] == "Approve"
    somebody = in_role("support", "somebody@staff.example.org")
    refunds.propose(refund_id=large.pk, amount="500.00", by=somebody, now=timezone.now())
    after = "Approve" if role == "finance" else "Propose"
    assert first.search(text_of(desk.get(page_of(large))))[1] == after


def test_a_refusal_keeps_what_was_typed(ask, support):
    refund = ask("500.00")
    answer = at_desk(support).post(
        reverse("admin:billing_refundrequest_act", args=[refund.pk, "approve"]),
        {"amount": "499.00", "words": "Words of some length"},
    )
    page = text_of(answer)
    assert "Propose it instead" in page
    assert 'value="499.00"' in page
    assert "Words of some length</textarea>" in page


def test_sentences_are_in_the_customers_language(ask, support):
    page = text_of(at_desk(support).get(page_of(ask(locale="zh-hans"))))
    options = re.findall(r'<option value="([^"]+)">([^<]+)</option>', page[page.index("desk-form") :])
    assert len(options) > 6
    for theirs, ours in options:
        assert re.search("[\u4e00-\u9fff]", theirs)
        assert re.search("[A-Za-z]{3}", ours)
    page = text_of(at_desk(support).get(page_of(ask(locale="en"))))
    assert "Thank you for trying us." in page


def test_an_invoices_refusal_keeps_what_was_typed(customer, user):
    from billing import invoices

    pay_in(customer, "50", at=timezone.now())
    desk = Client()
    desk.force_login(User.objects.create_superuser("desk@example.org", "a rather long one"))
    from payments.models import TopUp

    TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="stripe",
        amount=50,
        charge_amount=50,
        charge_currency="USD",
        state="paid",
        paid_at=timezone.now(),
        expires_at=timezone.now(),
        transaction_id="pi_1",
    )
    given = {"company_name": "Ada", "buyer_kind": "individual", "delivery": "email", "email": "ada@example.org"}
    invoice = invoices.ask(customer=customer, amount="10.00", now=timezone.now(), **given)
    invoices.deny(request_id=invoice.pk, words="No.", by=in_role("support"), now=timezone.now())
    # Somebody else decided while this page was open.
    act = reverse("admin:billing_invoicerequest_act", args=[invoice.pk, "deny"])
    answer = desk.post(act, {"words": "Words of some length"})
    assert answer.status_code == 200
    again = invoices.ask(customer=customer, amount="10.00", now=timezone.now(), **given)
    act = reverse("admin:billing_invoicerequest_act", args=[again.pk, "deny"])
    page = text_of(desk.post(act, {"words": "   "}))
    assert "Deny" in page
    page = text_of(desk.post(act.replace("/deny", "/issue"), {"series": "9999"}))
    assert "Choose one of the series in use." in page
