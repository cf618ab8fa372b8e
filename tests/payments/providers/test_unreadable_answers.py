"""Whatever a call of a provider raises or answers says nothing, unless it is a readable, clear no."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import IdempotentAnswer
from billing.audit.run import audit
from payments import refunds
from payments.models import Notification, RefundPart, TopUp
from payments.providers import registry
from payments.providers.base import Outcome, ProviderRefused, ProviderUnavailable, RefundOutcome
from payments.topups import opening, orders, polling
from tests.conftest import NOW
from tests.payments.conftest import METHODS, open_topup, pay, provider_number
from tests.payments.dispute_steps import approved, clerk

HOW = ("gbk", "cut", "half", "html", "list", "number", "text", "null", "deep", "empty", "bytes", "base64")
EACH = [(method, how) for method in METHODS for how in HOW if how != "base64" or method != "stripe"]
ODD = (None, [], {}, "", "\ud800", "nul\0", 7, 7.5, True, ["paid"], {"a": {"b": []}}, "x" * 5000)
FIELDS = {
    "stripe": ("id", "status", "payment_status", "amount_total", "currency", "payment_intent", "client_reference_id"),
    "alipay": ("code", "trade_status", "total_amount", "trade_no", "out_trade_no", "send_pay_date"),
    "wechat": ("trade_state", "amount", "amount.total", "transaction_id", "out_trade_no", "mchid", "success_time"),
}
HARMLESS = ("id", "send_pay_date", "success_time", "currency")


@pytest.fixture
def api(customer, sandbox):
    key = issuing.issue(customer=customer, name="k", now=NOW)
    return Client(headers={"Authorization": f"Bearer {key.text}"})


def ask(api: Client, *, method: str, key: str = ""):
    headers = {"Idempotency-Key": key} if key else {}
    body = json.dumps({"amount": "20.00", "method": method})
    return api.post("/v1/topups", body, content_type="application/json", headers=headers)


def code_of(answer) -> str:
    data = answer.json()["data"]
    return data["checkout_url"] or data["qr_code"] or ""


@pytest.mark.parametrize(("method", "how"), EACH)
def test_no_answer_of_a_provider_makes_a_500_or_an_open_order_without_a_code(api, sandbox, customer, method, how):
    sandbox.fault("answer_garbled", provider=method, operation="create", how=how)
    answer = ask(api, method=method, key="one")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "provider_unavailable")
    assert TopUp.objects.get().state == "failed"
    assert TopUp.objects.get().next_poll_at is not None  # watched like any ended one
    again = ask(api, method=method, key="one")
    assert (again.status_code, bool(code_of(again))) == (201, True)
    assert ask(api, method=method, key="one").json() == again.json()
    assert TopUp.objects.filter(state="open").count() == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_page_leads_on_though_the_answer_is_unreadable_and_the_poller_brings_the_code(sandbox, customer, method):
    browser = Client()
    browser.force_login(customer.members.get())
    sandbox.fault("answer_garbled", provider=method, operation="create", how="cut")
    answer = browser.post("/console/topup", {"preset": "20", "method": method})
    topup = TopUp.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/console/topup/{topup.number}")
    assert "not answered yet" in browser.get(answer["Location"]).content.decode()
    polling.poll(topup_id=topup.pk, now=timezone.now())
    topup.refresh_from_db()
    assert (topup.state, topup.has_checkout) == ("open", True)


@pytest.mark.parametrize(("method", "field"), [("stripe", "url"), ("alipay", "qr_code"), ("wechat", "code_url")])
def test_a_code_that_is_none_or_cannot_be_kept_is_no_code(api, sandbox, method, field):
    for value in (None, [], {}, "", "nul\0", 7, True, "x" * 5000):
        sandbox.fault("answer_altered", provider=method, operation="create", fields={field: value})
        assert ask(api, method=method).status_code == 503, value
        assert TopUp.objects.latest("pk").state == "failed", value
    assert TopUp.objects.count() == 8


def test_a_long_code_is_kept(sandbox, customer):
    sandbox.fault("answer_altered", provider="wechat", operation="create", fields={"code_url": "weixin://" + "x" * 900})
    assert len(open_topup(customer, method="wechat").qr_code) == 909


@pytest.mark.parametrize("method", METHODS)
def test_who_died_between_order_and_checkout_is_told_the_code_by_the_same_key(api, sandbox, method, monkeypatch):
    def die(**_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(opening, "start_checkout", die)
        with pytest.raises(SystemExit):
            ask(api, method=method, key="one")
    assert TopUp.objects.get().has_checkout is False
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    answer = ask(api, method=method, key="one")
    assert (answer.status_code, bool(code_of(answer))) == (201, True)
    assert answer.json()["data"]["id"] == TopUp.objects.get().number


def test_who_died_between_order_and_checkout_is_never_shown_an_order_without_a_code(api, sandbox, monkeypatch):
    def die(**_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(opening, "start_checkout", die)
        with pytest.raises(SystemExit):
            ask(api, method="alipay", key="one")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    sandbox.fault("provider_down", provider="alipay", times=0)
    assert ask(api, method="alipay", key="one").status_code == 503
    sandbox.clear_faults()
    answer = ask(api, method="alipay", key="one")
    assert (answer.status_code, bool(code_of(answer))) == (201, True)
    assert sorted(TopUp.objects.values_list("state", flat=True)) == ["failed", "failed", "open"]


@pytest.mark.parametrize(("method", "how"), EACH)
def test_an_unreadable_answer_to_a_question_is_unknown_whatever_its_status(sandbox, customer, method, how):
    topup = open_topup(customer, method=method)
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup))
    provider = registry.get(method)
    for status in (200, 400, 403, 404, 500) if how == "html" else (200, 404):
        sandbox.clear_faults()
        sandbox.fault("drop_notification", provider=method, times=0)
        sandbox.fault("answer_garbled", provider=method, operation="query", how=how, status=status, times=0)
        sandbox.fault("answer_garbled", provider=method, operation="close", how=how, status=status, times=0)
        fact = provider.fetch_payment(number=topup.number, reference=topup.reference)
        assert fact.outcome is Outcome.UNKNOWN
        assert orders.settle_topup(topup_id=topup.pk, now=topup.expires_at + timedelta(days=1)) == "unknown"
        # Nothing is WeChat's yes to a closing, and its refusals are read whatever their signature.
        if method != "wechat" or how not in (("empty", "half", "cut") if status == 200 else ("base64",)):
            with pytest.raises(ProviderUnavailable):
                provider.close(number=topup.number, reference=topup.reference)
    sandbox.clear_faults()
    assert orders.settle_topup(topup_id=topup.pk, now=timezone.now()) == "credited"


@pytest.mark.parametrize(("method", "field"), [(method, field) for method in METHODS for field in FIELDS[method]])
def test_no_mistyped_field_of_an_answer_raises_or_credits(sandbox, customer, wallet, method, field):
    topup = open_topup(customer, method=method)
    sandbox.fault("drop_notification", provider=method, times=0)
    sandbox.pay(method, provider_number(topup))
    for value in ODD:
        sandbox.fault("answer_altered", provider=method, operation="query", fields={field: value})
        fact = registry.get(method).fetch_payment(number=topup.number, reference=topup.reference)
        assert isinstance(fact.outcome, Outcome)
        if field not in HARMLESS:
            assert orders.mismatch(topup, fact) or fact.outcome is not Outcome.OK, (field, value, fact)


@pytest.mark.parametrize("method", METHODS)
def test_a_signed_answer_that_is_no_object_is_unknown(sandbox, customer, method):
    topup = open_topup(customer, method=method)
    provider = registry.get(method)
    for instead in ([], [1], 7, "ok", None, True):
        sandbox.fault("answer_altered", provider=method, operation="query", instead=instead)
        fact = provider.fetch_payment(number=topup.number, reference=topup.reference)
        assert fact.outcome is Outcome.UNKNOWN, instead


@pytest.mark.parametrize(("method", "how"), EACH)
def test_a_refund_whose_answer_is_unreadable_is_unknown_and_paid_once(sandbox, customer, wallet, method, how):
    topup = open_topup(customer, method=method)
    pay(sandbox, topup)
    sandbox.fault("answer_garbled", provider=method, operation="refund", how=how)
    refund = approved(customer, "5")
    refunds.send(refund_id=refund.pk, now=timezone.now())
    part = RefundPart.objects.get()
    assert part.state == "sending"
    sandbox.fault("answer_garbled", provider=method, operation="refund_query", how=how)
    assert refunds.look(part_id=part.pk, now=timezone.now()) is RefundOutcome.UNKNOWN
    sandbox.clear_faults()
    for _attempt in range(100):
        refunds.look(part_id=part.pk, now=timezone.now())
        part.refresh_from_db()
        if part.state == "done":
            break
    assert part.state == "done"
    assert len(sandbox.control("GET", "/refunds")["refunds"]) == 1
    assert audit().drifts == []


@pytest.mark.parametrize("operation", ["query", "refund_query", "refund", "close"])
def test_an_answer_of_alipay_in_gbk_is_read(sandbox, customer, operation):
    topup = open_topup(customer, method="alipay")
    pay(sandbox, topup)
    topup.refresh_from_db()
    sandbox.fault("answer_gbk", provider="alipay", operation=operation, times=0)
    provider = registry.get("alipay")
    refund = approved(customer, "5")
    refunds.send(refund_id=refund.pk, now=timezone.now())
    refunds.look(part_id=RefundPart.objects.get().pk, now=timezone.now())
    assert RefundPart.objects.get().state == "done"
    assert provider.fetch_payment(number=topup.number, reference="").outcome is Outcome.OK
    provider.close(number=topup.number, reference="")  # paid: a clear no, in Chinese


def test_a_notification_of_alipay_in_gbk_with_chinese_goods_is_verified_and_credited(sandbox, customer, wallet):
    sandbox.fault("notification_gbk", provider="alipay", times=0)
    topup = open_topup(customer, method="alipay")
    pay(sandbox, topup)
    wallet.refresh_from_db()
    assert wallet.paid == 20
    assert Notification.objects.get(order_number=topup.number).outcome == "credited"


def test_a_clear_no_is_still_a_no(sandbox, customer):
    for method in METHODS:
        with pytest.raises(ProviderRefused):
            registry.get(method).start_checkout(
                orders.order_of(
                    TopUp(
                        number="no" if method != "stripe" else "x",
                        method=method,
                        charge_amount=0,
                        charge_currency=registry.SPECS[method].currency,
                        request={"subject": "x", "site": "http://x", "email": "", "locale": "en"},
                        created_at=NOW,
                        expires_at=timezone.now() + timedelta(hours=1),
                    )
                )
            )


def test_a_bug_in_what_reads_an_answer_is_no_answer(sandbox, customer, monkeypatch):
    topup = open_topup(customer, method="stripe")
    monkeypatch.setattr("payments.providers.stripe.adapter.payment_fact", lambda *_a, **_k: {}["x"])
    fact = registry.get("stripe").fetch_payment(number=topup.number, reference=topup.reference)
    assert (fact.outcome, fact.detail) == (Outcome.UNKNOWN, "stripe: KeyError")


def test_the_time_of_payment_is_the_provider_s(sandbox, customer):
    for method in METHODS:
        topup = open_topup(customer, method=method)
        sandbox.fault("drop_notification", provider=method, times=0)
        before = timezone.now().replace(microsecond=0)
        sandbox.pay(method, provider_number(topup))
        after = timezone.now()
        orders.settle_topup(topup_id=topup.pk, now=after + timedelta(hours=5))
        topup.refresh_from_db()
        assert before <= topup.paid_at <= after


def test_a_time_of_payment_that_cannot_be_is_when_we_noticed(sandbox, customer):
    for at in ("2001-01-01 00:00:00", "2999-01-01 00:00:00", "yesterday"):
        topup = open_topup(customer, method="alipay")
        sandbox.fault("drop_notification", provider="alipay", times=0)
        sandbox.pay("alipay", topup.number)
        sandbox.fault("answer_altered", provider="alipay", operation="query", fields={"send_pay_date": at})
        now = timezone.now()
        assert orders.settle_topup(topup_id=topup.pk, now=now) == "credited"
        assert TopUp.objects.get(pk=topup.pk).paid_at == now
        sandbox.clear_faults()


def test_an_answer_of_alipay_without_a_status_is_no_proof_that_a_refund_was_not_made(sandbox, customer):
    topup = open_topup(customer, method="alipay")
    pay(sandbox, topup)
    sandbox.fault("answer_garbled", provider="alipay", operation="refund", how="cut")
    refund = approved(customer, "5")
    refunds.send(refund_id=refund.pk, now=timezone.now())
    part = RefundPart.objects.get()
    sandbox.fault(
        "answer_altered", provider="alipay", operation="refund_query", fields={"refund_status": None}, times=0
    )
    fact = registry.get("alipay").fetch_refund(refunds.order_of(part))
    assert (fact.outcome, fact.is_proof) == (RefundOutcome.MISSING, False)
    RefundPart.objects.update(state="parked", detail="no answer")
    with pytest.raises(refunds.PartError):
        refunds.give_back(part_id=part.pk, by=clerk(), now=timezone.now())
    part.refresh_from_db()
    assert part.state == "parked"
