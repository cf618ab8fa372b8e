"""Refunds as customers, programs and staff meet them: pages, REST and the desk."""

import json
import re
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import Membership, User
from billing import refunds
from billing.books.grants import grant_bonus
from billing.models import RefundRequest, Wallet
from payments.models import TopUp
from payments.providers.base import Outcome, PaymentFact
from payments.topups import orders
from tests.conftest import NOW
from tests.outbox import mails
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def paid(customer):
    """A card top-up of 20 USD that was paid."""
    topup = TopUp.objects.create(
        customer=customer,
        number="topup_1",
        method="stripe",
        amount=Decimal("20.00"),
        charge_amount=Decimal("20.00"),
        charge_currency="USD",
        expires_at=timezone.now(),
    )
    fact = PaymentFact(Outcome.OK, topup.number, "pi_1", Decimal("20.00"), "USD", is_ours=True)
    orders.credit(topup_id=topup.pk, fact=fact, now=timezone.now())
    return topup


@pytest.fixture
def api(customer):
    key = issuing.issue(customer=customer, name="k", now=NOW)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def ask(api, headers=None, **body):
    body = {"amount": "5.00", "reason": "not needed"} | body
    return api.post("/v1/refund-requests", json.dumps(body), content_type="application/json", headers=headers or {})


def test_a_refund_is_asked_for_listed_shown_and_cancelled_over_the_api(api, paid):
    answer = ask(api)
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert (data["amount"], data["state"], data["currency"]) == ("5.00000000", "requested", "USD")
    assert data["parts"] == []
    assert api.get("/v1/refund-requests").json()["data"] == [data]
    assert api.get(f"/v1/refund-requests/{data['id']}").json()["data"] == data
    assert api.get("/v1/credits").json()["data"]["held"] == "5.00000000"
    cancelled = api.post(f"/v1/refund-requests/{data['id']}/cancel", "{}", content_type="application/json")
    assert (cancelled.status_code, cancelled.json()["data"]["state"]) == (200, "cancelled")
    again = api.post(f"/v1/refund-requests/{data['id']}/cancel", "{}", content_type="application/json")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "state_conflict")
    assert "It is `cancelled`, and " in again.json()["error"]["message"]
    assert api.get("/v1/credits").json()["data"]["held"] == "0.00000000"


def test_who_reads_chinese_is_answered_in_chinese_though_a_program_asked(api, paid, customer):
    customer.members.update(language="zh-hans")
    ask(api)
    mail = mails().exclude(about=paid.number).get()
    assert mail.subject == "我们已收到您的退款申请"
    assert "从地址 127.0.0.1 提交" in mail.body


def test_the_same_idempotency_key_asks_once(api, paid):
    first, second = (ask(api, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert first.json() == second.json()
    assert RefundRequest.objects.count() == 1
    other = ask(api, headers={"Idempotency-Key": "one"}, amount="6.00")
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"amount": "20.01"}, "amount"),
        ({"amount": "0.001"}, "amount"),
        ({"amount": 5.5}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": "-5"}, "amount"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 7}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
    ],
    ids=str,
)
def test_what_cannot_be_refunded_is_said_and_freezes_nothing(api, paid, customer, body, param):
    answer = ask(api, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert answer.json()["error"]["param"] == param
    assert Wallet.objects.get(customer=customer).held == 0


def test_a_key_without_the_scope_may_read_but_not_ask(customer, paid):
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["read"])
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert api.get("/v1/refund-requests").status_code == 200
    answer = ask(api)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")


def test_another_customers_refund_is_not_there(api, paid, make_customer, browser_client):
    stranger = issuing.issue(customer=make_customer("1", name="Eve"), name="k", now=NOW)
    number = ask(api).json()["data"]["id"]
    other = Client(headers={"Authorization": f"Bearer {stranger.text}"})
    assert other.get(f"/v1/refund-requests/{number}").status_code == 404
    assert other.post(f"/v1/refund-requests/{number}/cancel").status_code == 404
    refund = RefundRequest.objects.get()
    RefundRequest.objects.filter(pk=refund.pk).update(customer=stranger.key.customer)
    for path in (f"/console/refunds/{number}", f"/console/refunds/{number}/cancel"):
        assert browser_client.post(path, {"answer": "x"}).status_code == 404


def test_the_page_explains_each_number_and_is_preset_to_all_of_it(browser_client, paid, customer):
    grant_bonus(customer=customer, amount=Decimal(10), key="test", reason="test", now=NOW)
    page = browser_client.get("/console/refunds").content.decode()
    assert 'value="20.00"' in page
    assert "never refundable" in page
    assert "$10.0000" in page  # the bonus


def test_a_customer_asks_answers_and_cancels_on_the_pages(browser_client, paid, desk_user, customer):
    answer = browser_client.post("/console/refunds", {"amount": "7.00", "reason": "moving <b>on</b>"}, follow=True)
    refund = RefundRequest.objects.get()
    assert answer.redirect_chain[-1][0] == f"/console/refunds/{refund.number}"
    assert "moving &lt;b&gt;on&lt;/b&gt;" in answer.content.decode()
    assert "from the address 127.0.0.1. If that was none of you, cancel it" in mails().latest("pk").body
    refunds.ask_back(refund_id=refund.pk, question="Which card?", by=desk_user, now=timezone.now())
    assert "Which card?" in browser_client.get(f"/console/refunds/{refund.number}").content.decode()
    browser_client.post(f"/console/refunds/{refund.number}", {"answer": "Blue"})
    refund.refresh_from_db()
    assert refund.answer == "Blue"
    again = browser_client.post(f"/console/refunds/{refund.number}", {"answer": "Red"})
    assert "answered already" in again.content.decode()
    refund.refresh_from_db()
    assert refund.answer == "Blue"
    browser_client.post(f"/console/refunds/{refund.number}/cancel")
    refund.refresh_from_db()
    assert refund.state == RefundRequest.State.CANCELLED
    assert Wallet.objects.get(customer=customer).held == 0


def test_an_owner_alone_answers_the_desk(browser_client, customer, paid, desk_user):
    refund = refunds.ask(customer=customer, amount="5.00", reason="x", now=timezone.now())
    refunds.ask_back(refund_id=refund.pk, question="Which account?", by=desk_user, now=timezone.now())
    Membership.objects.create(user=User.objects.create_user("eve@example.org"), customer=customer)
    Membership.objects.filter(customer=customer, user__email="ada@example.org").update(role="developer")
    path = f"/console/refunds/{refund.number}"
    page = browser_client.get(path).content.decode()
    assert ("Which account?" in page, "Your answer" in page) == (True, False)
    assert browser_client.post(path, {"answer": "My own"}).status_code == 403
    refund.refresh_from_db()
    assert refund.answer == ""


@pytest.mark.parametrize("text", ["a\0b", "\0"])
def test_a_nul_in_a_form_is_refused_and_nothing_is_half_done(browser_client, desk, customer, paid, desk_user, text):
    refund = refunds.ask(customer=customer, amount="5.00", reason="x", now=timezone.now())
    refunds.ask_back(refund_id=refund.pk, question="Which?", by=desk_user, now=timezone.now())
    assert browser_client.post(f"/console/refunds/{refund.number}", {"answer": text}).status_code == 400
    for name in ("approve", "deny", "ask"):
        path = reverse("admin:billing_refundrequest_act", args=[refund.pk, name])
        assert desk.post(path, {"amount": "5.00", "words": text}).status_code == 400
    refund.refresh_from_db()
    assert (refund.state, refund.answer) == ("requested", "")


def test_half_a_character_is_refused_by_the_api(api, paid):
    body = '{"amount": "5.00", "reason": "\\ud800"}'
    answer = api.post("/v1/refund-requests", body, content_type="application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "validation_error", "reason")
    answer = api.post("/v1/refund-requests", '{"\\ud800": 1}', content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "?")
    assert not RefundRequest.objects.exists()


def test_one_mail_is_entered_once_and_names_one_customer(desk, customer, paid, make_customer):
    address = customer.members.get().email
    form = {"email": address.upper(), "amount": "4.00", "reason": "by mail", "reference": "Mail 17"}
    path = "/admin/billing/refundrequest/add/"
    assert desk.post(path, form).status_code == 302
    assert "This mail is entered already" in desk.post(path, form).content.decode()
    other = make_customer("0")
    Membership.objects.create(user=customer.members.get(), customer=other)
    again = form | {"reference": "Mail 18"}
    page = desk.post(path, again).content.decode()
    assert f"#{customer.pk} {customer.name}, #{other.pk} {other.name}" in page
    assert desk.post(path, again | {"email": f"#{customer.pk}"}).status_code == 302
    assert [refund.customer for refund in RefundRequest.objects.all()] == [customer] * 2
    assert "No customer has this address." in desk.post(path, again | {"email": "#9" + "9" * 30}).content.decode()


def test_support_approves_a_part_within_its_limit_of_a_large_request(customer, paid, settings):
    settings.REFUND_SUPPORT_LIMIT = Decimal(10)
    refund = refunds.ask(customer=customer, amount="20.00", reason="x", now=timezone.now())
    support = at_desk(in_role("support"))
    page = support.get(reverse("admin:billing_refundrequest_change", args=[refund.pk])).content.decode()
    assert ">Approve</button>" in page
    assert ">Propose</button>" in page
    assert "Propose it instead" in act(support, refund, "approve", amount="20.00").content.decode()
    act(support, refund, "approve", amount="10.00")
    refund.refresh_from_db()
    assert (refund.state, refund.approved) == ("approved", Decimal("10.00"))
    assert "We approved $10.00 of $20.00" in mails().latest("pk").body


def test_a_large_sum_in_small_requests_is_as_large(customer, paid, settings):
    settings.REFUND_SUPPORT_LIMIT = Decimal(10)
    first, second = (
        refunds.ask(customer=customer, amount="6.00", reason=why, now=timezone.now()) for why in ("one", "two")
    )
    support = at_desk(in_role("support"))
    act(support, first, "approve", amount="6.00")
    assert "within a day together" in act(support, second, "approve", amount="6.00").content.decode()
    act(support, second, "approve", amount="4.00")
    second.refresh_from_db()
    assert second.approved == Decimal("4.00")


def test_too_much_is_refused_on_the_page_with_the_most_there_is(browser_client, paid):
    answer = browser_client.post("/console/refunds", {"amount": "20.01", "reason": "all"})
    assert answer.status_code == 400
    assert "At most $20.00 can be refunded now." in answer.content.decode()


@pytest.fixture
def desk_user(db):
    return User.objects.create_superuser("desk@example.org", "a rather long one")


def login_staff(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def desk(desk_user):
    return login_staff(desk_user)


def act(desk, refund, name, **data):
    return desk.post(reverse("admin:billing_refundrequest_act", args=[refund.pk, name]), data, follow=True)


@pytest.fixture
def refund(customer, paid):
    return refunds.ask(customer=customer, amount="15.00", reason="not needed", now=timezone.now())


def test_the_queue_shows_what_is_at_the_desk_by_due_time_overdue_in_red(desk, refund, customer):
    late = refunds.ask(customer=customer, amount="1.00", reason="late", now=timezone.now())
    RefundRequest.objects.filter(pk=late.pk).update(due_at=NOW)
    done = refunds.ask(customer=customer, amount="1.00", reason="gone", now=timezone.now())
    refunds.cancel(refund_id=done.pk, now=timezone.now())
    path = reverse("admin:billing_refundrequest_changelist")
    page = desk.get(path).content.decode()
    assert page.index(late.number) < page.index(refund.number)
    assert "overdue" in page
    assert done.number not in page
    assert refund.number not in desk.get(path, {"queue": "overdue"}).content.decode()
    assert done.number in desk.get(path, {"queue": "all"}).content.decode()
    assert done.number in desk.get(path, {"q": done.number}).content.decode()


def test_staff_approve_deny_and_ask_back_and_each_act_is_recorded(desk, refund, customer, paid):
    page = desk.get(reverse("admin:billing_refundrequest_change", args=[refund.pk])).content.decode()
    assert "Card" in page
    assert "15.00" in page
    assert "Which card?" in act(desk, refund, "ask", words="Which card?").content.decode()
    assert refund.number not in desk.get("/admin/billing/refundrequest/").content.decode()
    assert "needs the customer" in desk.get("/admin/billing/refundrequest/", {"queue": "asked"}).content.decode()
    refunds.answer(refund_id=refund.pk, text="Blue", now=timezone.now())
    assert re.search(r">\s*answered\s*<", desk.get("/admin/billing/refundrequest/").content.decode())
    act(desk, refund, "approve", amount="10.00", words="There you go")
    refund.refresh_from_db()
    assert (refund.state, refund.approved, refund.decision) == ("approved", Decimal("10.00"), "There you go")
    assert "approved already" in act(desk, refund, "deny", words="no").content.decode()
    history = desk.get(reverse("admin:billing_refundrequest_history", args=[refund.pk])).content.decode()
    assert "Approved: $10.00" in history


def test_an_amount_that_cannot_be_meant_is_said_at_the_desk(desk, refund):
    for amount in ("", "abc", "15.001", "15.01", "-1"):
        act(desk, refund, "approve", amount=amount)
        refund.refresh_from_db()
        assert refund.state == "requested"


def test_staff_enter_a_request_that_came_by_mail(desk, customer, paid, user):
    path = reverse("admin:billing_refundrequest_add")
    given = {"email": user.email, "amount": "4.00", "reason": "by mail", "reference": "mail 17"}
    assert desk.post(path, given | {"amount": "400.00"}).status_code == 200
    assert desk.post(path, given | {"email": "nobody@example.org"}).status_code == 200
    assert not RefundRequest.objects.exists()
    assert desk.post(path, given).status_code == 302
    refund = RefundRequest.objects.get()
    assert (refund.origin, refund.reference, refund.amount) == ("staff", "mail 17", Decimal("4.00"))
    assert "If that was none of you" not in mails().latest("pk").body


def test_a_refund_cannot_be_changed_or_deleted_past_its_acts(desk, refund):
    change = reverse("admin:billing_refundrequest_change", args=[refund.pk])
    desk.post(change, {"amount": "1.00", "state": "done"})
    refund.refresh_from_db()
    assert (refund.state, refund.amount) == ("requested", Decimal("15.00"))
    delete = reverse("admin:billing_refundrequest_delete", args=[refund.pk])
    assert desk.post(delete, {"post": "yes"}).status_code == 403


def test_staff_without_the_right_see_and_do_nothing(refund):
    plain = login_staff(User.objects.create_user("new@example.org", "a rather long one", is_staff=True))
    assert plain.get(reverse("admin:billing_refundrequest_change", args=[refund.pk])).status_code == 403
    assert act(plain, refund, "approve", amount="15.00").status_code == 403
    for wrong in ("0", "x", "9" * 30, "999999"):
        assert plain.get(f"/admin/billing/refundrequest/{wrong}/change/").status_code in (403, 404)
