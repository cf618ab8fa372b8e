"""Alipay QR (alipay.trade.precreate) through the real SDK. Facts about it: python-alipay-sdk 3.4.0."""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.error import URLError
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from billing.money import InvalidAmount, cents
from payments.providers.alipay_sdk import AliPay, AliPayConfig, AliPayException, AliPayValidationError
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
from payments.providers.bills import StatementNotReady, download, read_alipay

SHANGHAI = ZoneInfo("Asia/Shanghai")
TIMEOUT_SECONDS = 10
# Each of these says nothing about what happened at Alipay.
NO_ANSWER = (AliPayException, AliPayValidationError, URLError, OSError, json.JSONDecodeError, AttributeError)
NEVER_SCANNED = "ACQ.TRADE_NOT_EXIST"
BUSY = frozenset({"ACQ.SYSTEM_ERROR", "AOP.SYSTEM_ERROR", "isp.unknow-error", "SYSTEM_ERROR"})

NO_FUNDS = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
NO_TRADE = "ACQ.TRADE_NOT_EXIST"
NO_BILL = "isp.bill_not_exist"


class Client(AliPay):  # type: ignore[misc]
    """The SDK with the time Alipay expects: Shanghai's, where the SDK sends the machine's own."""

    def build_body(self, *args: Any, **kwargs: Any) -> Any:
        body = super().build_body(*args, **kwargs)
        body["timestamp"] = datetime.now(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        return body


class AlipayProvider:
    """See `base.Provider`. Orders go by our number; there is no other reference."""

    code = "alipay"
    currency = "CNY"

    def __init__(
        self, *, app_id: str, seller_id: str, app_private_key: str, public_key: str, gateway: str = ""
    ) -> None:
        self._app_id, self._seller_id = app_id, seller_id
        self._client = Client(
            appid=app_id,
            app_notify_url=None,
            app_private_key_string=app_private_key,
            alipay_public_key_string=public_key,
            sign_type="RSA2",
            config=AliPayConfig(timeout=TIMEOUT_SECONDS),
        )
        if gateway:
            self._client._gateway = gateway

    def start_checkout(self, order: CheckoutOrder) -> Checkout:
        answer = self._call(
            lambda: self._client.server_api(
                "alipay.trade.precreate",
                {
                    "out_trade_no": order.number,
                    "total_amount": f"{order.amount:.2f}",
                    "subject": order.subject,
                    "seller_id": self._seller_id,
                    "time_expire": order.expires_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
                },
                notify_url=order.notify_url,
            )
        )
        if answer.get("code") != "10000" or not answer.get("qr_code"):
            raise _refusal(answer)
        return Checkout(qr_code=answer["qr_code"])

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        try:
            answer = self._call(lambda: self._client.api_alipay_trade_query(out_trade_no=number))
        except ProviderUnavailable as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))
        if answer.get("code") != "10000":
            if answer.get("sub_code") == NEVER_SCANNED:
                return PaymentFact(Outcome.PENDING, order_number=number, is_ours=True, detail="not scanned")
            return PaymentFact(Outcome.UNKNOWN, detail=f"{answer.get('code')} {answer.get('sub_code')}")
        status = str(answer.get("trade_status"))
        outcomes = {"TRADE_SUCCESS": Outcome.OK, "TRADE_FINISHED": Outcome.OK, "TRADE_CLOSED": Outcome.REJECTED}
        return PaymentFact(
            outcomes.get(status, Outcome.PENDING),
            order_number=str(answer.get("out_trade_no", "")),
            transaction_id=str(answer.get("trade_no", "")),
            amount=_amount(answer.get("total_amount")),
            currency="CNY",
            is_ours=True,  # signed by Alipay for our app id
            detail=status,
        )

    def close(self, *, number: str, reference: str) -> None:
        """Close the trade; one that nobody scanned is not there to close, and its code expires by itself."""
        answer = self._call(lambda: self._client.api_alipay_trade_close(out_trade_no=number))
        refusal = _refusal(answer)
        if answer.get("code") != "10000" and isinstance(refusal, ProviderUnavailable):
            raise refusal

    def send_refund(self, order: RefundOrder) -> RefundFact:
        """`fund_change=N` says only that this call moved nothing: it is a repeat, or not through yet."""
        try:
            answer = self._call(
                lambda: self._client.api_alipay_trade_refund(
                    refund_amount=f"{order.amount:.2f}",
                    out_trade_no=order.order_number,
                    out_request_no=order.key,
                    refund_reason=order.reason,
                )
            )
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        if answer.get("code") == "10000":
            if answer.get("fund_change") == "Y":
                return RefundFact(RefundOutcome.DONE, refund_id=order.key, amount=order.amount)
            return self.fetch_refund(order)
        refusal = _refusal(answer)
        if isinstance(refusal, ProviderUnavailable):
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(refusal))
        is_short = answer.get("sub_code") == NO_FUNDS
        words = f"{refusal} {answer.get('sub_msg', '')}".strip()
        return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=words)

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        """An answer without a status is about a refund that was not made, or failed: asking again is safe."""
        try:
            answer = self._call(
                lambda: self._client.api_alipay_trade_fastpay_refund_query(
                    out_request_no=order.key, out_trade_no=order.order_number
                )
            )
        except ProviderUnavailable as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))
        if answer.get("code") != "10000":
            if answer.get("sub_code") == NO_TRADE:
                return RefundFact(RefundOutcome.MISSING)
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(_refusal(answer)))
        status = str(answer.get("refund_status") or "")
        if status != "REFUND_SUCCESS":
            return RefundFact(RefundOutcome.PENDING if status else RefundOutcome.MISSING, detail=status)
        return RefundFact(
            RefundOutcome.DONE, refund_id=order.key, amount=_amount(answer.get("refund_amount")), detail=status
        )

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        """Alipay lists none: only the one of this `out_request_no`, and that only once it is through."""
        answer = self._call(
            lambda: self._client.api_alipay_trade_fastpay_refund_query(out_request_no=key, out_trade_no=order_number)
        )
        if answer.get("code") != "10000":
            if answer.get("sub_code") == NO_TRADE:
                return []
            raise _refusal(answer)
        if answer.get("refund_status") != "REFUND_SUCCESS":
            return []
        amount = _amount(answer.get("refund_amount"))
        return [ProviderRefund(key, key, amount, "CNY", RefundOutcome.DONE, "REFUND_SUCCESS")]

    def fetch_statement(self, day: date) -> Bill:
        """The trade bill of a day in Shanghai, from 9 the next morning; the address it stands at dies in 30 s.

        Raises `ProviderError`. A day without a trade has no bill, and is told like one that is not ready.
        """
        content = {"bill_type": "trade", "bill_date": day.isoformat()}
        answer = self._call(lambda: self._client.server_api("alipay.data.dataservice.bill.downloadurl.query", content))
        if answer.get("sub_code") == NO_BILL:
            raise StatementNotReady("alipay: no bill")
        if answer.get("code") != "10000" or not answer.get("bill_download_url"):
            raise _refusal(answer)
        return read_alipay(download(str(answer["bill_download_url"])))

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        try:
            fields = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=True))
            signature = fields.pop("sign")
            facts = dict(fields)
            if not self._client.verify(fields, signature):
                raise BadSignature("the signature is not Alipay's")
        except BadSignature:
            raise
        except Exception as error:  # the SDK raises whatever on odd input; each of it is a bad signature
            raise BadSignature(type(error).__name__) from None
        if facts.get("app_id") != self._app_id or facts.get("seller_id", self._seller_id) != self._seller_id:
            raise BadSignature("the notification is another merchant's")
        return Notice(
            kind=facts.get("trade_status", "") or facts.get("notify_type", ""),
            key=facts.get("notify_id", ""),
            order_number=_about(facts),
            facts={"total_amount": facts.get("total_amount", "")},
            reference=facts.get("out_biz_no", ""),
        )

    @staticmethod
    def _call(act: Callable[[], Any]) -> dict[str, Any]:
        try:
            with asking("alipay"):
                answer = act()
        except NO_ANSWER as error:
            raise ProviderUnavailable(f"alipay: {type(error).__name__}") from None
        if not isinstance(answer, dict):
            raise ProviderUnavailable("alipay: no answer")
        return answer


def _refusal(answer: Mapping[str, Any]) -> ProviderUnavailable | ProviderRefused:
    code, sub_code = str(answer.get("code")), str(answer.get("sub_code"))
    text = f"alipay: {code} {sub_code}"
    return ProviderUnavailable(text) if code == "20000" or sub_code in BUSY else ProviderRefused(text)


def _about(facts: Mapping[str, str]) -> str:
    """Our number for what it tells: of a refund that we asked for its own, else the order's."""
    refund = facts.get("out_biz_no", "")
    return refund if refund.startswith(REFUND_KEY_PREFIX) else facts.get("out_trade_no", "")


def _amount(text: Any) -> Decimal:
    try:
        return cents(str(text))
    except InvalidAmount:
        return Decimal(-1)
