"""What each provider's words about a refund mean."""

from decimal import Decimal
from typing import Any

import pytest

from payments.providers import registry
from payments.providers.base import RefundOrder, RefundOutcome
from payments.providers.stripe.facts import refund_fact
from payments.providers.wechat import adapter as wechat

Outcome = RefundOutcome
ORDER = RefundOrder("part_1", "topup_1", "paid_1", Decimal("5.00"), Decimal("20.00"), "CNY", "https://x.invalid/")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("pending", Outcome.PENDING),
        ("succeeded", Outcome.DONE),
        ("failed", Outcome.FAILED),
        ("canceled", Outcome.FAILED),
        ("requires_action", Outcome.PARKED),
        ("a word of next year", Outcome.PENDING),
    ],
)
def test_stripes_words(status, outcome):
    fact = refund_fact({"id": "re_1", "status": status, "amount": 500, "currency": "usd"})
    assert (fact.outcome, fact.amount, fact.refund_id) == (outcome, Decimal("5.00"), "re_1")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("PROCESSING", Outcome.PENDING),
        ("SUCCESS", Outcome.DONE),
        ("CLOSED", Outcome.FAILED),
        ("ABNORMAL", Outcome.PARKED),
        ("A_WORD_OF_NEXT_YEAR", Outcome.PENDING),
    ],
)
def test_wechats_words(status, outcome):
    fact = wechat._refund_fact({"refund_id": "503", "status": status, "amount": {"refund": 500}})
    assert (fact.outcome, fact.amount, fact.to_bank_card) == (outcome, Decimal("5.00"), False)


@pytest.mark.parametrize(
    ("account", "is_card"),
    [
        ("招商银行信用卡0403", True),
        ("工商银行储蓄卡1234", True),
        ("支付用户零钱", False),
        ("支付用户零钱通", False),
        ("支付用户银行电子账户", False),
        ("用户经营账户", False),
        ("商户基本账户", False),
        ("商户结算银行账户", False),
        ("", False),
    ],
)
def test_wechat_says_where_a_refund_goes_and_a_bank_card_takes_days(account, is_card):
    answer = {"refund_id": "503", "status": "PROCESSING", "amount": {"refund": 500}, "user_received_account": account}
    assert wechat._refund_fact(answer).to_bank_card is is_card


@pytest.mark.parametrize(
    ("answer", "outcome", "is_proof"),
    [
        ({"code": "10000", "refund_status": "REFUND_SUCCESS", "refund_amount": "5.00"}, Outcome.DONE, True),
        ({"code": "10000", "refund_status": "REFUND_PROCESSING"}, Outcome.PENDING, True),
        ({"code": "10000"}, Outcome.MISSING, False),  # not made, not through, or failed: Alipay does not tell
        ({"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, Outcome.MISSING, True),
        ({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"}, Outcome.UNKNOWN, True),
        ({"code": "40004", "sub_code": "isv.invalid-app-id"}, Outcome.UNKNOWN, True),
        ({"code": "20000", "sub_code": "isp.unknow-error"}, Outcome.UNKNOWN, True),
        ({}, Outcome.UNKNOWN, True),
    ],
    ids=str,
)
def test_alipays_words(sandbox_server, settings, monkeypatch, answer: dict[str, Any], outcome, is_proof):
    settings.DEBUG = True
    names = settings.PAYMENT_VARIABLES
    settings.PAYMENT_VARIABLES = {name: sandbox_server.environment.get(name, "") for name in names}
    provider = registry.get("alipay")
    monkeypatch.setattr(provider._client, "api_alipay_trade_fastpay_refund_query", lambda **asked: answer)
    fact = provider.fetch_refund(ORDER)
    assert (fact.outcome, fact.is_proof) == (outcome, is_proof)
