"""Alipay: a QR code in yuan."""

from collections.abc import Mapping
from datetime import timedelta

from payments.providers.alipay import setup
from payments.providers.base import Provider
from payments.providers.sheets import SHANGHAI
from payments.providers.spec import Answer, ProviderSpec


def adapter(account: Mapping[str, str]) -> Provider:
    from payments.providers.alipay.adapter import AlipayProvider

    return AlipayProvider(**account)


ALIPAY = ProviderSpec(
    code="alipay",
    currency="CNY",
    variable_prefix="ALIPAY",
    required=("ALIPAY_APP_ID", "ALIPAY_SELLER_ID", "ALIPAY_APP_PRIVATE_KEY", "ALIPAY_PUBLIC_KEY"),
    address="ALIPAY_GATEWAY",
    account=setup.account,
    adapter=adapter,
    loggers=("python-alipay-sdk",),
    order_life=timedelta(minutes=15),  # as long as its rate holds
    refund_window_days=365,
    numbers_refunds_by_payment=True,
    statement_zone=SHANGHAI,
    notify_path="/payments/alipay/notify",
    refund_notify_path="/payments/alipay/notify",
    accepted=Answer(200, "success", "text/plain"),
    refused=Answer(400, "fail"),
    signature_header="Content-Type",
    payment_number=r"2\d{27}",  # begins with its day
    letter=setup.letter,
    console=setup.console,
)
