"""WeChat Pay v3 Native (QR) through the real SDK, in public-key mode. Facts about it: wechatpayv3 2.0.4."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import requests
from wechatpayv3 import WeChatPay, WeChatPayType

from billing.money import from_minor, minor
from payments.providers.asking import asking
from payments.providers.base import (
    REFUND_KEY_PREFIX,
    BadSignature,
    Bill,
    Checkout,
    CheckoutOrder,
    Notice,
    Outcome,
    PaymentFact,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    RefundFact,
    RefundOrder,
    RefundOutcome,
)
from payments.providers.bills import StatementNotReady, read_wechat

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIMEOUT = (3, 10)
"""Seconds to connect and to read; the SDK has none of its own and would hang."""
TOLERANCE_SECONDS = 300
HEADERS = (
    "Wechatpay-Signature",
    "Wechatpay-Signature-Type",
    "Wechatpay-Timestamp",
    "Wechatpay-Nonce",
    "Wechatpay-Serial",
)
NEVER_MADE = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST"})
OUTCOMES = {
    "SUCCESS": Outcome.OK,
    "REFUND": Outcome.OK,  # paid, and something of it given back
    "CLOSED": Outcome.REJECTED,
    "REVOKED": Outcome.REJECTED,
    "PAYERROR": Outcome.REJECTED,
}

REFUND_OUTCOMES = {
    "SUCCESS": RefundOutcome.DONE,
    "CLOSED": RefundOutcome.FAILED,
    "ABNORMAL": RefundOutcome.PARKED,  # between the accounts: staff decide
}
NO_FUNDS = "NOT_ENOUGH"
NO_REFUND = "RESOURCE_NOT_EXISTS"


class WechatProvider:
    """See `base.Provider`. Orders go by our number; there is no other reference."""

    code = "wechat"
    currency = "CNY"

    def __init__(
        self,
        *,
        mchid: str,
        appid: str,
        private_key: str,
        cert_serial: str,
        apiv3_key: str,
        public_key: str,
        public_key_id: str,
        api_base: str = "",
    ) -> None:
        self._mchid, self._appid, self._public_key_id = mchid, appid, public_key_id
        self._client = WeChatPay(
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=mchid,
            private_key=private_key,
            cert_serial_no=cert_serial,
            apiv3_key=apiv3_key,
            appid=appid,
            notify_url="https://unused.invalid/",  # each order names its own
            timeout=TIMEOUT,
            public_key=public_key,
            public_key_id=public_key_id,
        )
        if api_base:
            self._client._core._gate_way = api_base.rstrip("/")

    def start_checkout(self, order: CheckoutOrder) -> Checkout:
        code, answer = self._call(
            lambda: self._client.pay(
                description=order.subject,
                out_trade_no=order.number,
                amount={"total": minor(order.amount), "currency": "CNY"},
                time_expire=order.expires_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
                notify_url=order.notify_url,
            )
        )
        if code != 200 or not answer.get("code_url"):
            raise _refusal(code, answer)
        return Checkout(qr_code=answer["code_url"])

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        try:
            code, answer = self._call(lambda: self._client.query(out_trade_no=number))
        except ProviderUnavailable as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))
        if code == 404 and answer.get("code") in NEVER_MADE:
            return PaymentFact(Outcome.PENDING, order_number=number, is_ours=True, detail="never made")
        if code != 200:
            return PaymentFact(Outcome.UNKNOWN, detail=f"{code} {answer.get('code', '')}")
        state = str(answer.get("trade_state"))
        amount = answer.get("amount") or {}
        total = amount.get("total")
        return PaymentFact(
            OUTCOMES.get(state, Outcome.PENDING),
            order_number=str(answer.get("out_trade_no", "")),
            transaction_id=str(answer.get("transaction_id", "")),
            amount=from_minor(total) if isinstance(total, int) else Decimal(-1),
            currency=str(amount.get("currency") or "CNY"),  # may be left out where it is CNY
            is_ours=(answer.get("mchid"), answer.get("appid")) == (self._mchid, self._appid),
            detail=state,
        )

    def close(self, *, number: str, reference: str) -> None:
        """Close the order; one that was paid, closed or never made is left as it is."""
        code, answer = self._call(lambda: self._client.close(out_trade_no=number))
        if code >= 500 or code == 429:
            raise _refusal(code, answer)

    def send_refund(self, order: RefundOrder) -> RefundFact:
        """A 200 means accepted, no more."""
        try:
            code, answer = self._call(
                lambda: self._client.refund(
                    out_refund_no=order.key,
                    transaction_id=order.transaction_id,
                    amount={"refund": minor(order.amount), "total": minor(order.total), "currency": "CNY"},
                    reason=order.reason,
                    notify_url=order.notify_url,
                )
            )
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        return _refund_fact(code, answer)

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        try:
            code, answer = self._call(lambda: self._client.query_refund(out_refund_no=order.key))
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        if code == 404 and answer.get("code") == NO_REFUND:
            return RefundFact(RefundOutcome.MISSING)
        if code != 200:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(_refusal(code, answer)))
        return _refund_fact(code, answer)

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        """WeChat Pay lists none: only the one of this `out_refund_no`, if it is a refund of this order."""
        code, answer = self._call(lambda: self._client.query_refund(out_refund_no=key))
        if code == 404 and answer.get("code") == NO_REFUND:
            return []
        if code != 200:
            raise _refusal(code, answer)
        fact = _refund_fact(code, answer)
        if answer.get("out_trade_no") != order_number or fact.amount is None:
            return []
        return [ProviderRefund(fact.refund_id, key, fact.amount, "CNY", fact.outcome, fact.detail)]

    def fetch_statement(self, day: date) -> Bill:
        """The trade bill of a day in Shanghai, from 10 the next morning for 3 months; raises `ProviderError`."""
        code, answer = self._call(lambda: self._client.trade_bill(day.isoformat()))
        if answer.get("code") == "STATEMENT_CREATING":
            raise StatementNotReady("wechat: the bill is being made")
        if answer.get("code") == "NO_STATEMENT_EXIST":
            return Bill(b"")
        if code != 200 or not answer.get("download_url"):
            raise _refusal(code, answer)
        try:
            code, raw = self._client.download_bill(answer["download_url"])
        except Exception as error:  # the SDK raises bare exceptions
            raise ProviderUnavailable(f"wechat: {type(error).__name__}") from None
        if code != 200:
            raise ProviderUnavailable(f"wechat: the bill's address answers {code}")
        content = raw if isinstance(raw, bytes) else str(raw).encode()
        return read_wechat(content, sha1=str(answer.get("hash_value", "")))

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Raise `BadSignature`, also for WeChat's own signature probes: to those a refusal is the right answer."""
        given = {name: headers.get(name, "") for name in HEADERS}
        if not all(given.values()):
            raise BadSignature("a header is missing")
        # An unknown serial would make the SDK look for its certificate over the network.
        if given["Wechatpay-Serial"] != self._public_key_id:
            raise BadSignature("the serial is not our public key's id")
        stamp = given["Wechatpay-Timestamp"]
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
            raise BadSignature("the timestamp is too old or too new")
        try:
            letter = self._client.callback(given, body)
        except Exception as error:  # the SDK raises bare exceptions on odd input
            raise BadSignature(type(error).__name__) from None
        if not letter:
            raise BadSignature("the signature is not WeChat Pay's")
        resource = letter.get("resource") or {}
        if resource.get("mchid", self._mchid) != self._mchid:
            raise BadSignature("the notification is another merchant's")
        refund = str(resource.get("out_refund_no", ""))
        return Notice(
            kind=str(letter.get("event_type", "")),
            key=str(letter.get("id", "")),
            order_number=refund if refund.startswith(REFUND_KEY_PREFIX) else str(resource.get("out_trade_no", "")),
            reference=refund,
        )

    @staticmethod
    def _call(act: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
        try:
            with asking("wechat"):
                code, text = act()
            answer = json.loads(text) if text else {}
        except ProviderUnavailable:
            raise
        except requests.RequestException as error:
            raise ProviderUnavailable(f"wechat: {type(error).__name__}") from None
        except Exception as error:
            # The SDK raises a bare Exception for an answer it cannot verify, after the call took effect.
            raise ProviderUnavailable(f"wechat: {type(error).__name__}") from None
        return int(code), answer if isinstance(answer, dict) else {}


def _refusal(code: int, answer: Mapping[str, Any]) -> ProviderUnavailable | ProviderRefused:
    text = f"wechat: {code} {answer.get('code', '')}"
    return ProviderUnavailable(text) if code >= 500 or code == 429 else ProviderRefused(text)


def _refund_fact(code: int, answer: Mapping[str, Any]) -> RefundFact:
    if code != 200:
        refusal = _refusal(code, answer)
        words = f"{refusal} {answer.get('message', '')}".strip()
        if isinstance(refusal, ProviderUnavailable):
            return RefundFact(RefundOutcome.UNKNOWN, detail=words)
        is_short = answer.get("code") == NO_FUNDS
        return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=words)
    status = str(answer.get("status"))
    amount = (answer.get("amount") or {}).get("refund")
    return RefundFact(
        REFUND_OUTCOMES.get(status, RefundOutcome.PENDING),
        refund_id=str(answer.get("refund_id", "")),
        amount=from_minor(amount) if isinstance(amount, int) else None,
        detail=status,
    )
