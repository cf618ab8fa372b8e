"""The pages to top up on, and the staff's view of what came of it."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, User
from billing.models import Wallet
from payments.inbox import refused
from payments.models import ExchangeRate, Notification, TopUp
from payments.topups import orders, polling
from tests.payments.conftest import METHODS, open_topup, pay, pay_at


def browser(customer, **fields) -> Client:
    user = User.objects.create_user(f"user-{customer.pk}@example.org", "a rather long one", **fields)
    Membership.objects.create(user=user, customer=customer)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def ada(customer, sandbox) -> Client:
    return browser(customer)


@pytest.mark.parametrize("path", ["", "/topup_x", "/topup_x/state"])
def test_a_stranger_is_sent_to_log_in(client, sandbox, path):
    answer = client.get(f"/console/topup{path}")
    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/accounts/login/")


def test_another_customers_order_does_not_exist(ada, customer, make_customer):
    topup = open_topup(customer, method="alipay")
    eve = browser(make_customer(name="Eve"))
    for path in (f"/console/topup/{topup.number}", f"/console/topup/{topup.number}/state"):
        assert (ada.get(path).status_code, eve.get(path).status_code) == (200, 404)


@pytest.mark.parametrize("number", ["nobody", "%00", "x" * 500])
def test_an_unknown_order_is_404(ada, number):
    assert ada.get(f"/console/topup/{number}").status_code == 404


def test_only_methods_that_are_on_are_offered(ada, settings):
    settings.PAYMENT_VARIABLES = {
        name: "" if name.startswith("STRIPE_") else value for name, value in settings.PAYMENT_VARIABLES.items()
    }
    page = ada.get("/console/topup").content.decode()
    assert ('value="alipay"' in page, 'value="stripe"' in page) == (True, False)


@pytest.mark.parametrize("method", METHODS)
def test_the_form_opens_an_order_and_leads_to_where_it_is_paid(ada, method):
    answer = ada.post("/console/topup", {"preset": "other", "amount": "12.34", "method": method})
    topup = TopUp.objects.get()
    assert (answer.status_code, str(topup.amount)) == (302, "12.34")
    assert answer.headers["Location"] == (topup.checkout_url or f"/console/topup/{topup.number}")
    page = ada.get(f"/console/topup/{topup.number}").content.decode()
    assert ("<svg" in page and "87.86" in page) is (method != "stripe")
    assert "What if something looks wrong?" in page


@pytest.mark.parametrize("method", METHODS)
def test_the_form_leads_back_to_what_is_open_until_it_costs_something_else_or_is_cancelled(ada, method, settings):
    form = {"preset": "20", "method": method}
    first = [ada.post("/console/topup", form).headers["Location"] for _ in range(2)]
    topup = TopUp.objects.get()
    assert first == [topup.checkout_url or f"/console/topup/{topup.number}"] * 2
    for page in ("/console/topup", "/console/"):
        assert f"/console/topup/{topup.number}/cancel" in ada.get(page).content.decode()
    answer = ada.post(f"/console/topup/{topup.number}/cancel", follow=True)
    assert "The top-up of $20.00 is cancelled." in answer.content.decode()
    assert "is not paid yet" not in ada.get("/console/topup").content.decode()
    again = ada.post(f"/console/topup/{topup.number}/cancel")
    assert again.headers["Location"] == f"/console/topup/{topup.number}"
    ada.post("/console/topup", form)
    settings.TOPUP_FEES = {**settings.TOPUP_FEES, method: (Decimal(10), Decimal(0))}
    ada.post("/console/topup", form)
    assert list(TopUp.objects.order_by("id").values_list("state", flat=True)) == ["expired", "open", "open"]


def test_nobody_goes_on_with_or_cancels_what_another_opened(ada, customer, make_customer):
    mine = open_topup(customer, method="alipay")
    eve = browser(make_customer(name="Eve"))
    assert eve.post(f"/console/topup/{mine.number}/cancel").status_code == 404
    ada.post("/console/topup", {"preset": "20", "method": "alipay"})
    assert TopUp.objects.open().count() == 2
    TopUp.objects.update(expires_at=timezone.now() + timezone.timedelta(seconds=90))
    ada.post("/console/topup", {"preset": "20", "method": "alipay"})
    assert TopUp.objects.open().count() == 3  # those leave too little time to pay


@pytest.mark.parametrize(
    "form",
    [
        {"preset": "other", "amount": "0.99", "method": "alipay"},
        {"preset": "other", "amount": "1.234", "method": "alipay"},
        {"preset": "other", "amount": "NaN", "method": "alipay"},
        {"preset": "other", "method": "alipay"},
        {"preset": "7", "method": "alipay"},
        {"preset": "20", "method": "paypal"},
        {},
    ],
)
def test_a_bad_form_is_shown_again_and_opens_nothing(ada, form):
    answer = ada.post("/console/topup", form)
    assert (answer.status_code, b'role="alert"' in answer.content) == (400, True)
    assert TopUp.objects.count() == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_live_state_follows_the_order_and_marks_it_watched(ada, sandbox, customer, method):
    topup = open_topup(customer, method=method)
    state = f"/console/topup/{topup.number}/state"
    assert ada.get(state).json() == {"state": "open", "ready": True}
    topup.refresh_from_db()
    assert topup.watched_until > timezone.now()
    pay(sandbox, topup)
    assert ada.get(state).json()["state"] == "paid"
    assert "Your payment has arrived" in ada.get(f"/console/topup/{topup.number}").content.decode()


@pytest.mark.parametrize(("state", "says"), [("expired", "time to pay has passed"), ("failed", "did not go through")])
def test_an_order_that_came_to_nothing_says_so(ada, customer, state, says):
    topup = open_topup(customer, method="alipay")
    TopUp.objects.filter(pk=topup.pk).update(state=state)
    assert says in ada.get(f"/console/topup/{topup.number}").content.decode()


def test_a_payment_that_does_not_match_is_not_called_unpaid(ada, sandbox, customer):
    topup = open_topup(customer, method="alipay")
    sandbox.control("POST", f"/orders/alipay/{topup.number}/report", amount=1)
    sandbox.pay("alipay", topup.number)
    assert polling.poll(topup_id=topup.pk, now=timezone.now()) == "mismatch"
    page = ada.get(f"/console/topup/{topup.number}").content.decode()
    assert "does not match this order" in page
    assert "nothing was charged" not in page


def test_yuan_are_not_offered_at_a_stale_rate(ada, customer, settings):
    settings.FX_RATE_MAX_AGE_DAYS = 30
    staff = User.objects.create_user("staff@example.org", "a rather long one", is_staff=True)
    old = timezone.now() - timezone.timedelta(days=settings.FX_RATE_MAX_AGE_DAYS + 1)
    ExchangeRate.objects.create(rate="7.2", source="bank", set_by=staff, created_at=old)
    answer = ada.post("/console/topup", {"preset": "20", "method": "alipay"})
    assert (answer.status_code, TopUp.objects.count()) == (400, 0)
    assert "Please pay by card" in answer.content.decode()
    assert ada.post("/console/topup", {"preset": "20", "method": "stripe"}).status_code == 302


@pytest.fixture
def desk(sandbox, db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.org", "a rather long one"))
    return client


def test_staff_see_every_model_and_can_change_no_money(desk, sandbox, customer):
    topup = open_topup(customer, method="alipay")
    pay(sandbox, topup)
    for row in (topup, Notification.objects.first(), ExchangeRate.objects.first()):
        base = f"/admin/payments/{row._meta.model_name}"
        assert desk.get(f"{base}/?q=x").status_code in (200, 302)
        assert desk.get(f"{base}/").status_code == 200
        assert desk.get(f"{base}/{row.pk}/change/").status_code == 200
        assert desk.post(f"{base}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    for model in ("topup", "notification"):
        assert desk.get(f"/admin/payments/{model}/add/").status_code == 403
    change = desk.post(f"/admin/payments/topup/{topup.pk}/change/", {"amount": "1000"})
    topup.refresh_from_db()
    assert (change.status_code, topup.amount) == (403, 20)


def test_staff_set_a_rate_as_a_new_row_with_their_name(desk):
    assert desk.post("/admin/payments/exchangerate/add/", {"rate": "7.25", "source": "bank"}).status_code == 302
    rate = ExchangeRate.objects.get()
    assert (str(rate.rate), rate.set_by.email) == ("7.250000", "root@example.org")
    assert desk.post("/admin/payments/exchangerate/add/", {"rate": "725", "source": "slip"}).status_code == 200


def test_staff_process_a_notification_again(desk, sandbox, customer):
    topup = open_topup(customer, method="alipay")
    pay_at(sandbox, topup)
    about = Notification.objects.get(order_number=topup.number)
    act = {"action": "process_again", "_selected_action": [about.pk]}
    for outcome in ("credited", "repeated"):
        answer = desk.post("/admin/payments/notification/", act, follow=True)
        about.refresh_from_db()
        assert (answer.status_code, about.outcome) == (200, outcome)
    assert Wallet.objects.get(customer=customer).paid == 20


def test_staff_look_at_what_was_refused_lately(desk, client):
    refused._last_slot.clear()
    client.post("/payments/wechat/notify", b'{"id": "<b>forged</b>"}', content_type="application/json")
    address = reverse("admin:payments_notification_refused")
    page = desk.get(address).content.decode()
    assert "a header is missing" in page
    assert "&lt;b&gt;forged&lt;/b&gt;" in page
    listed = desk.get("/admin/payments/notification/").content.decode()
    assert address in listed


def test_staff_who_may_only_look_cannot_process(sandbox, customer, django_user_model):
    from django.contrib.auth.models import Permission

    staff = User.objects.create_user("look@example.org", "a rather long one", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_notification"))
    client = Client()
    client.force_login(staff)
    topup = open_topup(customer, method="alipay")
    pay_at(sandbox, topup)
    about = Notification.objects.get(order_number=topup.number)
    client.post("/admin/payments/notification/", {"action": "process_again", "_selected_action": [about.pk]})
    about.refresh_from_db()
    assert about.processed_at is None
    assert orders.TopUp.objects.get(pk=topup.pk).state == "open"


@pytest.mark.parametrize("method", METHODS)
def test_a_suspended_customer_opens_no_top_up_on_the_page_either_and_is_told_why(ada, sandbox, customer, method):
    type(customer).objects.filter(pk=customer.pk).update(suspended_at=timezone.now())
    answer = ada.post("/console/topup", {"preset": "20", "method": method})
    assert (answer.status_code, TopUp.objects.count()) == (400, 0)
    assert "Top-ups are closed until this is settled; the balance stays yours." in answer.content.decode()
