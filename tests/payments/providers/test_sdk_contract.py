"""What of the three SDKs is set behind their backs, and the fields that are asked: an upgrade that moves it fails here.

The facts are of stripe 16.1.0, python-alipay-sdk 3.4.0 and wechatpayv3 2.0.4.
"""

import inspect
import os
import subprocess
import sys
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from alipay import AliPay
from django.utils import timezone
from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams, RefundCreateParams
from stripe.params.checkout import SessionCreateParams
from wechatpayv3 import WeChatPay

from payments.providers import registry
from payments.providers.base import Outcome, RefundOrder
from payments.providers.keeping import ChargeOrder, KeepOrder, Kept, No
from payments.providers.sheets import SHANGHAI
from payments.providers.wechat import adapter
from payments.topups.orders import order_of
from tests.payments.conftest import METHODS, open_topup


def asked(monkeypatch, owner, name):
    """The keyword and positional arguments that a method of an SDK is called with; it goes on as before."""
    calls, original = [], getattr(owner, name)

    def recorded(*args, **kwargs):
        calls.append(inspect.signature(original).bind(*args, **kwargs).arguments)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, recorded)
    return calls


def test_the_address_of_alipay_is_the_private_attribute_we_set(sandbox, settings):
    client = registry.get("alipay")._client
    assert client._gateway == settings.PAYMENT_VARIABLES["ALIPAY_GATEWAY"]
    live = registry._made.__wrapped__(
        tuple({**settings.PAYMENT_VARIABLES, "ALIPAY_GATEWAY": "", "STRIPE_SECRET_KEY": "sk_test_x"}.items()), True
    )
    assert live["alipay"]._client._gateway == "https://openapi.alipay.com/gateway.do"


def test_the_address_and_timeout_of_wechat_are_the_private_attributes_we_set(sandbox, settings):
    core = registry.get("wechat")._client._core
    assert core._gate_way == settings.PAYMENT_VARIABLES["WECHATPAY_API_BASE"]
    assert core._timeout == adapter.TIMEOUT
    live = registry._made.__wrapped__(tuple({**settings.PAYMENT_VARIABLES, "WECHATPAY_API_BASE": ""}.items()), True)
    assert live["wechat"]._client._core._gate_way == "https://api.mch.weixin.qq.com"


def test_importing_the_sdks_leaves_logging_as_it_was_and_a_gateway_imports_none_of_them(repository):
    code = (
        "import sys, logging, chuizi.asgi\n"
        "assert not {'stripe', 'alipay', 'wechatpayv3'} & set(sys.modules)\n"
        "before = [*logging.root.handlers]\n"
        "from payments.providers.alipay import adapter\n"
        "from payments.providers.stripe import adapter\n"
        "from payments.providers.wechat import adapter\n"
        "sdk = logging.getLogger('python-alipay-sdk')\n"
        "assert (logging.root.handlers, sdk.handlers, sdk.level) == (before, [], logging.WARNING)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=repository, check=True, env=os.environ)


def test_alipays_requests_carry_shanghais_time(sandbox):
    body = registry.get("alipay")._client.build_body("alipay.trade.query", {"out_trade_no": "x"})
    sent = datetime.strptime(body["timestamp"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    assert abs((timezone.now() - sent).total_seconds()) < 60


def test_every_field_asked_of_stripe_is_one_of_its_sdk(sandbox, customer, monkeypatch):
    client = registry.get("stripe")._client
    sessions = asked(monkeypatch, type(client.v1.checkout.sessions), "create")
    refunds = asked(monkeypatch, type(client.v1.refunds), "create")
    topup = open_topup(customer, method="stripe")
    order = RefundOrder(
        key="part_x",
        order_number=topup.number,
        transaction_id="pi_x",
        amount=topup.charge_amount,
        total=topup.charge_amount,
        currency="USD",
        notify_url="",
    )
    registry.get("stripe").send_refund(order)
    [session], [refund] = sessions, refunds
    assert set(session["params"]) <= set(SessionCreateParams.__annotations__)
    assert session["params"]["mode"] == "payment"
    assert set(refund["params"]) <= set(RefundCreateParams.__annotations__)
    assert {"payment_status", "client_reference_id", "amount_total", "currency", "payment_intent", "status"} <= set(
        stripe.checkout.Session.__annotations__
    )
    assert {"status", "amount", "failure_reason", "metadata", "payment_intent"} <= set(stripe.Refund.__annotations__)


def kept(sandbox, number: str, card: str) -> Kept:
    """A card as Stripe keeps it after its holder entered it."""
    provider = registry.get("stripe")
    order = KeepOrder(number, "USD", timezone.now() + timedelta(hours=1), "http://127.0.0.1:1/")
    page = provider.start_keeping(order)
    assert provider.start_keeping(order).reference == page.reference
    assert provider.fetch_kept(page.reference).outcome is Outcome.PENDING
    sandbox.control("POST", f"/setups/{page.reference}/keep", card=card)
    fact = provider.fetch_kept(page.reference)
    assert fact.card is not None
    return fact.card


def test_every_field_asked_of_stripe_for_a_saved_card_is_one_of_its_sdk(sandbox, monkeypatch):
    provider = registry.get("stripe")
    lists = provider._client.v1
    sessions = asked(monkeypatch, type(lists.checkout.sessions), "create")
    intents = asked(monkeypatch, type(lists.payment_intents), "create")
    card = kept(sandbox, "card_a", "4242424242424242")
    fact = provider.charge(ChargeOrder("topup_a", Decimal("20.00"), "USD", "Chuizi", card.payer, card.reference))
    assert (fact.outcome, fact.payment.order_number, fact.payment.amount) == (Outcome.OK, "topup_a", 20)
    assert set(sessions[0]["params"]) <= set(SessionCreateParams.__annotations__)
    assert (sessions[0]["params"]["mode"], sessions[0]["params"]["customer_creation"]) == ("setup", "always")
    [intent] = intents
    assert set(intent["params"]) <= set(PaymentIntentCreateParams.__annotations__)
    assert (intent["params"]["off_session"], intent["params"]["confirm"]) == (True, True)
    assert intent["options"]["idempotency_key"] == "charge-topup_a"
    assert {"customer", "limit", "starting_after"} <= set(PaymentIntentListParams.__annotations__)
    assert "fingerprint" in stripe.PaymentMethod.Card.__annotations__
    assert "fingerprint" in stripe.Charge.PaymentMethodDetails.Card.__annotations__


@pytest.mark.parametrize(
    ("card", "code"), [("4000000000000341", "card_declined"), ("4000002760003184", "authentication_required")]
)
def test_a_saved_card_that_says_no_raises_a_card_error_while_the_intent_stays(sandbox, card, code):
    """By the same key the same error comes again; it is cancelled once, and succeeds no more."""
    client, saved = registry.get("stripe")._client.v1, kept(sandbox, "card_b", card)
    asked_for = {"amount": 2000, "currency": "usd", "customer": saved.payer, "payment_method": saved.reference}
    asked_for |= {"off_session": True, "confirm": True, "metadata": {"order": "topup_b"}}
    seen = []
    for _time in range(2):
        with pytest.raises(stripe.CardError) as raised:
            client.payment_intents.create(asked_for, {"idempotency_key": "charge-topup_b"})
        assert (raised.value.http_status, raised.value.code) == (402, code)
        seen.append(raised.value.json_body["error"]["payment_intent"]["id"])
    [intent] = client.payment_intents.list({"customer": saved.payer}).auto_paging_iter()
    assert [intent.id, intent.id] == seen
    assert (intent.status, intent.last_payment_error.code) == ("requires_payment_method", code)
    assert client.payment_intents.cancel(intent.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        client.payment_intents.cancel(intent.id)
    assert client.payment_intents.retrieve(intent.id).last_payment_error.code == code


def test_a_detached_card_is_none_of_anybody_and_is_never_taken_again(sandbox):
    provider = registry.get("stripe")
    card = kept(sandbox, "card_c", "4242424242424242")
    provider.forget(card.reference)
    provider.forget(card.reference)
    methods = provider._client.v1.payment_methods
    assert methods.retrieve(card.reference).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        methods.attach(card.reference, {"customer": card.payer})
    order = ChargeOrder("topup_c", Decimal("20.00"), "USD", "Chuizi", card.payer, card.reference)
    assert (provider.charge(order).why, provider.find_charge(order).is_missing) == (No.CARD_GONE, True)


def test_every_argument_given_to_the_qr_providers_is_one_of_their_sdks(sandbox, customer, monkeypatch):
    """`bind` raises for an argument that the SDK does not know."""
    pays = asked(monkeypatch, WeChatPay, "pay")
    calls = asked(monkeypatch, AliPay, "server_api")
    for method in ("alipay", "wechat"):
        open_topup(customer, method=method)
    [pay] = pays
    assert isinstance(pay["amount"]["total"], int)
    assert {"description", "out_trade_no", "time_expire", "notify_url"} <= set(pay)
    [call] = [call for call in calls if call["api_name"] == "alipay.trade.precreate"]
    assert isinstance(call["biz_content"]["total_amount"], str)
    known = {
        "query": {"out_trade_no"},
        "close": {"out_trade_no"},
        "refund": {"out_refund_no", "transaction_id", "amount", "reason", "notify_url"},
        "query_refund": {"out_refund_no"},
        "trade_bill": {"bill_date"},
        "download_bill": {"url"},
        "callback": {"headers", "body"},
    }
    for name, arguments in known.items():
        assert arguments <= set(inspect.signature(getattr(WeChatPay, name)).parameters), name


def test_addresses_given_to_providers_follow_from_site_url_and_never_from_the_host_header(
    sandbox, customer, client, settings
):
    client.force_login(customer.members.get())
    settings.ALLOWED_HOSTS = ["*"]
    for method in METHODS:
        client.post(
            "/console/topup",
            {"preset": "20", "method": method},
            headers={"Host": "evil.example", "X-Forwarded-Host": "x"},
        )
    orders = [order_of(topup) for topup in customer.topups.all()]
    assert len(orders) == 3
    for order in orders:
        for address in (order.notify_url, order.return_url):
            assert address.startswith(f"{settings.SITE_URL}/")
            assert "evil" not in address
            assert parse_qs(urlsplit(address).query) == {}
