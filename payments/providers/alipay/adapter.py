"""Alipay QR (alipay.trade.precreate) through the real SDK. Facts about it: python-alipay-sdk 3.4.0."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from billing.books.money import InvalidAmount, cents
from payments.providers.alipay import notices
from payments.providers.alipay.sdk import AliPayConfig, Client
from payments.providers.alipay.statement import read_flow, read_trades
from payments.providers.asking import asking
from payments.providers.base import (
    Bill,
    Checkout,
    CheckoutOrder,
    Notice,
    Outcome,
    PaymentFact,
    ProviderError,
    ProviderRefund,
    ProviderRefused,
    ProviderUnavailable,
    RefundFact,
    RefundOrder,
    RefundOutcome,
)
from payments.providers.files import download
from payments.providers.flows import union
from payments.providers.reading import NotReadable, mapping, needed, text, words
from payments.providers.sheets import SHANGHAI

TIMEOUT_SECONDS = 10
NEVER_SCANNED = "ACQ.TRADE_NOT_EXIST"
REFUSALS = frozenset({"40001", "40002", "40003", "40004", "40006", "20001"})
"""Codes of a clear no; 20000 and 40005 are an overload, and whatever else is none of Alipay's."""
UNCLEAR = ("SYSTEM_ERROR", "UNKNOW")
"""In a sub-code these say that Alipay does not know what it did."""

NO_FUNDS = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
NO_TRADE = "ACQ.TRADE_NOT_EXIST"
NO_BILL = "isp.bill_not_exist"


class AlipayProvider:
    """See `base.Provider`. Orders go by our number; there is no other reference."""

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
        content = {
            "out_trade_no": order.number,
            "total_amount": f"{order.amount:.2f}",
            "subject": order.subject,
            "seller_id": self._seller_id,
            "time_expire": order.expires_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
        }
        with asking("alipay"):
            answer = self._client.server_api("alipay.trade.precreate", content, notify_url=order.notify_url)
            return Checkout(qr_code=needed(_accepted(answer), "qr_code", most=Checkout.MOST_QR_CODE))

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        try:
            with asking("alipay"):
                answer = mapping(self._client.api_alipay_trade_query(out_trade_no=number))
                if answer.get("sub_code") == NEVER_SCANNED:
                    return PaymentFact(Outcome.PENDING, order_number=number, is_ours=True, detail="not scanned")
                return _payment_fact(_accepted(answer))
        except ProviderError as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))

    def close(self, *, number: str, reference: str) -> None:
        """Close the trade; one that nobody scanned is not there to close, and its code expires by itself."""
        try:
            with asking("alipay"):
                _accepted(self._client.api_alipay_trade_close(out_trade_no=number))
        except ProviderRefused:
            return

    def send_refund(self, order: RefundOrder) -> RefundFact:
        """`fund_change=N` says only that this call moved nothing: it is a repeat, or not through yet."""
        try:
            with asking("alipay"):
                answer = mapping(
                    self._client.api_alipay_trade_refund(
                        refund_amount=f"{order.amount:.2f}",
                        out_trade_no=order.order_number,
                        out_request_no=order.key,
                        refund_reason=order.reason,
                    )
                )
                if answer.get("code") != "10000":
                    return _refused_refund(answer)
                if answer.get("fund_change") == "Y":
                    return RefundFact(RefundOutcome.DONE, refund_id=order.key, amount=order.amount)
                return self._look(order)
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        """An answer without a status is about a refund that was not made, failed, or is not through yet.

        That is no proof of any of these; to ask again with the same number is safe.
        """
        try:
            with asking("alipay"):
                return self._look(order)
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))

    def _look(self, order: RefundOrder) -> RefundFact:
        answer = self._refund_query(order_number=order.order_number, key=order.key)
        status = text(answer, "refund_status")
        if not status:
            return RefundFact(RefundOutcome.MISSING, is_proof=not answer)
        if status != "REFUND_SUCCESS":
            return RefundFact(RefundOutcome.PENDING, detail=status)
        return RefundFact(
            RefundOutcome.DONE, refund_id=order.key, amount=_amount(answer, "refund_amount"), detail=status
        )

    def _refund_query(self, *, order_number: str, key: str) -> Mapping[str, Any]:
        """The answer; an empty one if there is not even such a payment."""
        answer = mapping(
            self._client.api_alipay_trade_fastpay_refund_query(out_request_no=key, out_trade_no=order_number)
        )
        return {} if answer.get("sub_code") == NO_TRADE else _accepted(answer)

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        """Alipay lists none: only the one of this `out_request_no`, and that only once it is through."""
        with asking("alipay"):
            answer = self._refund_query(order_number=order_number, key=key)
            if answer.get("refund_status") != "REFUND_SUCCESS":
                return []
            amount = _amount(answer, "refund_amount")
        return [ProviderRefund(key, key, amount, "CNY", RefundOutcome.DONE, "REFUND_SUCCESS")]

    def find_payment(self, payment_id: str) -> PaymentFact:
        with asking("alipay"):
            answer = mapping(self._client.api_alipay_trade_query(trade_no=payment_id))
            if answer.get("sub_code") == NO_TRADE:
                return PaymentFact(Outcome.REJECTED, detail="no such trade")
            return _payment_fact(_accepted(answer))

    def fetch_statement(self, day: date) -> Bill:
        """Both bills of a day in Shanghai, from 9 the next morning; raises `ProviderError`.

        A day without a trade has no trade bill, one without a movement no fund flow; each is told like one that is not
        ready.
        """
        trades = self._bill("trade", day, read=read_trades)
        return union(day=day, trades=trades, flow=self._bill("signcustomer", day, read=read_flow))

    def _bill(self, kind: str, day: date, *, read: Callable[[bytes], Bill]) -> Bill:
        """The address it stands at dies in 30 s."""
        content = {"bill_type": kind, "bill_date": day.isoformat()}
        with asking("alipay"):
            answer = mapping(self._client.server_api("alipay.data.dataservice.bill.downloadurl.query", content))
            if answer.get("sub_code") == NO_BILL:
                return Bill(b"", may_come=True)
            return read(download(needed(_accepted(answer), "bill_download_url", most=5000)))

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        return notices.read(body, client=self._client, app_id=self._app_id, seller_id=self._seller_id)


def _accepted(answer: Any) -> Mapping[str, Any]:
    """An answer that says yes; else raises what it means: a clear no, or nothing that can be read as one."""
    found = mapping(answer)
    code, sub_code = found.get("code"), str(found.get("sub_code") or "")
    if code == "10000":
        return found
    why = words(f"alipay: {code} {sub_code}")
    if code in REFUSALS and not any(word in sub_code.upper() for word in UNCLEAR):
        raise ProviderRefused(why)
    raise ProviderUnavailable(why)


def _payment_fact(answer: Mapping[str, Any]) -> PaymentFact:
    status = needed(answer, "trade_status")
    outcomes = {"TRADE_SUCCESS": Outcome.OK, "TRADE_FINISHED": Outcome.OK, "TRADE_CLOSED": Outcome.REJECTED}
    outcome = outcomes.get(status, Outcome.PENDING)
    return PaymentFact(
        outcome,
        order_number=text(answer, "out_trade_no"),
        transaction_id=text(answer, "trade_no"),
        amount=_amount(answer, "total_amount") if outcome is Outcome.OK else Decimal(0),
        currency="CNY",
        is_ours=True,  # signed by Alipay for our app id
        detail=status,
        paid_at=_moment(answer.get("send_pay_date")),
    )


def _refused_refund(answer: Mapping[str, Any]) -> RefundFact:
    try:
        _accepted(answer)
    except ProviderRefused as error:
        is_short = answer.get("sub_code") == NO_FUNDS
        detail = words(f"{error} {answer.get('sub_msg', '')}".strip())
        return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=detail)
    raise NotReadable("a refund that was not refused")


def _amount(answer: Mapping[str, Any], name: str) -> Decimal:
    """Yuan, as a text with two places; raises `NotReadable`."""
    value = answer.get(name)
    try:
        return cents(value if isinstance(value, str) else str(value))
    except InvalidAmount:
        raise NotReadable(f"{name} is no amount") from None


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI)
    except ValueError:
        return None
