"""WeChat Pay v3 Native (QR) through the real SDK, in public-key mode. Facts about it: wechatpayv3 2.0.4."""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from wechatpayv3 import WeChatPay, WeChatPayType

from billing.books.money import from_minor, minor
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
from payments.providers.flows import union
from payments.providers.reading import inside, mapping, needed, text, whole, words
from payments.providers.sheets import SHANGHAI, StatementNotReady
from payments.providers.wechat import notices
from payments.providers.wechat.statement import read_flow, read_trades

TIMEOUT = (3, 10)
"""Seconds to connect and to read; the SDK has none of its own and would hang."""
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
NO_BILL = frozenset({"STATEMENT_CREATING", "NO_STATEMENT_EXIST"})
UNCLEAR = frozenset({"SYSTEM_ERROR", "BANK_ERROR", "BIZERR_NEED_RETRY", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED"})
"""Codes that say no more than: ask again."""
NO_REFUND = "RESOURCE_NOT_EXISTS"
NOT_A_CARD = ("支付用户", "用户", "商户")
"""What `user_received_account` begins with where it names no card of a bank: the payer's change, the merchant."""


class WechatProvider:
    """See `base.Provider`. Orders go by our number; there is no other reference."""

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
        with asking("wechat"):
            answer = _accepted(
                *self._client.pay(
                    description=order.subject,
                    out_trade_no=order.number,
                    amount={"total": minor(order.amount), "currency": "CNY"},
                    time_expire=order.expires_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
                    notify_url=order.notify_url,
                )
            )
            return Checkout(qr_code=needed(answer, "code_url", most=Checkout.MOST_QR_CODE))

    def fetch_payment(self, *, number: str, reference: str) -> PaymentFact:
        try:
            with asking("wechat"):
                code, said = self._client.query(out_trade_no=number)
                if code == 404 and _error_code(said) in NEVER_MADE:
                    return PaymentFact(Outcome.PENDING, order_number=number, is_ours=True, detail="never made")
                return self._payment_fact(_accepted(code, said))
        except ProviderError as error:
            return PaymentFact(Outcome.UNKNOWN, detail=str(error))

    def _payment_fact(self, answer: Mapping[str, Any]) -> PaymentFact:
        state = needed(answer, "trade_state")
        outcome, amount = OUTCOMES.get(state, Outcome.PENDING), inside(answer, "amount")
        return PaymentFact(
            outcome,
            order_number=text(answer, "out_trade_no"),
            transaction_id=text(answer, "transaction_id"),
            amount=from_minor(whole(amount, "total")) if outcome is Outcome.OK else Decimal(0),
            currency=text(amount, "currency") or "CNY",  # may be left out where it is CNY
            is_ours=(answer.get("mchid"), answer.get("appid")) == (self._mchid, self._appid),
            detail=state,
            paid_at=_moment(answer.get("success_time")),
        )

    def close(self, *, number: str, reference: str) -> None:
        """Close the order; one that was paid, closed or never made is left as it is."""
        try:
            with asking("wechat"):
                _accepted(*self._client.close(out_trade_no=number))
        except ProviderRefused:
            return

    def send_refund(self, order: RefundOrder) -> RefundFact:
        """A 200 means accepted, no more."""
        try:
            with asking("wechat"):
                code, said = self._client.refund(
                    out_refund_no=order.key,
                    transaction_id=order.transaction_id,
                    amount={"refund": minor(order.amount), "total": minor(order.total), "currency": "CNY"},
                    reason=order.reason,
                    notify_url=order.notify_url,
                )
                try:
                    return _refund_fact(_accepted(code, said))
                except ProviderRefused as error:
                    is_short = _error_code(said) == NO_FUNDS
                    detail = words(f"{error} {_json(said).get('message', '')}".strip())
                    return RefundFact(RefundOutcome.PARKED if is_short else RefundOutcome.FAILED, detail=detail)
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))

    def fetch_refund(self, order: RefundOrder) -> RefundFact:
        try:
            with asking("wechat"):
                code, said = self._client.query_refund(out_refund_no=order.key)
                if code == 404 and _error_code(said) == NO_REFUND:
                    return RefundFact(RefundOutcome.MISSING)
                return _refund_fact(_accepted(code, said))
        except ProviderError as error:
            return RefundFact(RefundOutcome.UNKNOWN, detail=str(error))

    def find_refunds(self, *, order_number: str, transaction_id: str, key: str) -> list[ProviderRefund]:
        """WeChat Pay lists none: only the one of this `out_refund_no`, if it is a refund of this order."""
        with asking("wechat"):
            code, said = self._client.query_refund(out_refund_no=key)
            if code == 404 and _error_code(said) == NO_REFUND:
                return []
            answer = _accepted(code, said)
            fact = _refund_fact(answer)
        if answer.get("out_trade_no") != order_number or fact.amount is None:
            return []
        return [ProviderRefund(fact.refund_id, key, fact.amount, "CNY", fact.outcome, fact.detail)]

    def find_payment(self, payment_id: str) -> PaymentFact:
        with asking("wechat"):
            code, said = self._client.query(transaction_id=payment_id)
            if code == 404 and _error_code(said) in NEVER_MADE:
                return PaymentFact(Outcome.REJECTED, detail="never made")
            return self._payment_fact(_accepted(code, said))

    def fetch_statement(self, day: date) -> Bill:
        """Both bills of a day in Shanghai, from 10 the next morning for 3 months; raises `ProviderError`."""
        trades = self._bill(self._client.trade_bill, day, read=read_trades)
        return union(day=day, trades=trades, flow=self._bill(self._client.fundflow_bill, day, read=read_flow))

    def _bill(self, ask: Callable[[str], tuple[int, str]], day: date, *, read: Callable[..., Bill]) -> Bill:
        """Raises `StatementNotReady`; one that has no line is empty."""
        with asking("wechat"):
            code, said = ask(day.isoformat())
            if (why := _error_code(said)) in NO_BILL:
                if why == "STATEMENT_CREATING":
                    raise StatementNotReady("wechat: the bill is being made")
                return Bill(b"")
            answer = _accepted(code, said)
            code, raw = self._client.download_bill(needed(answer, "download_url", most=5000))
            if code != 200:
                raise ProviderUnavailable(f"wechat: the bill's address answers {code}")
            content = raw if isinstance(raw, bytes) else str(raw).encode()
            return read(content, sha1=needed(answer, "hash_value"))

    def read_notification(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        return notices.read(body, headers, client=self._client, mchid=self._mchid, key_id=self._public_key_id)


def _json(said: str | bytes) -> Mapping[str, Any]:
    """An answer's object; nothing is an empty one. Raises for whatever else."""
    return mapping(json.loads(said)) if said else {}


def _error_code(said: str | bytes) -> str:
    """Why an answer says no; "" for one that says yes."""
    return text(_json(said), "code")


def _accepted(code: int, said: str | bytes) -> Mapping[str, Any]:
    """An answer that says yes; else raises what it means: a clear no, or nothing that can be read as one."""
    if 200 <= code < 300:
        return _json(said)
    why = _error_code(said)
    told = f"wechat: {code} {why}"
    if 400 <= code < 500 and code not in (408, 429) and why and why not in UNCLEAR:
        raise ProviderRefused(told)
    raise ProviderUnavailable(told)


def _refund_fact(answer: Mapping[str, Any]) -> RefundFact:
    status, amount = needed(answer, "status"), inside(answer, "amount")
    account = text(answer, "user_received_account", most=500)
    return RefundFact(
        REFUND_OUTCOMES.get(status, RefundOutcome.PENDING),
        refund_id=needed(answer, "refund_id"),
        amount=from_minor(whole(amount, "refund")),
        detail=status,
        to_bank_card=bool(account) and not account.startswith(NOT_A_CARD),
    )


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None
