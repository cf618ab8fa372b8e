"""WeChat Pay: a QR code in yuan (Native)."""

from collections.abc import Mapping
from datetime import timedelta

from payments.providers.base import Provider
from payments.providers.sheets import SHANGHAI
from payments.providers.spec import Answer, ProviderSpec
from payments.providers.wechat import setup


def adapter(account: Mapping[str, str]) -> Provider:
    from payments.providers.wechat.adapter import WechatProvider

    return WechatProvider(**account)


WECHAT = ProviderSpec(
    code="wechat",
    currency="CNY",
    variable_prefix="WECHATPAY",
    required=(
        "WECHATPAY_MCHID",
        "WECHATPAY_APPID",
        "WECHATPAY_PRIVATE_KEY",
        "WECHATPAY_CERT_SERIAL",
        "WECHATPAY_APIV3_KEY",
        "WECHATPAY_PUBLIC_KEY",
        "WECHATPAY_PUBLIC_KEY_ID",
    ),
    address="WECHATPAY_API_BASE",
    account=setup.account,
    adapter=adapter,
    loggers=("wechatpayv3",),
    order_life=timedelta(minutes=15),  # as long as its rate holds
    refund_window_days=365,
    statement_zone=SHANGHAI,
    notify_path="/payments/wechat/notify",
    refund_notify_path="/payments/wechat/refund-notify",
    accepted=Answer(204),
    refused=Answer(401, {"code": "FAIL", "message": "签名错误"}),
    signature_header="Wechatpay-Signature",
    payment_number=r"42\d{26}",
    letter=setup.letter,
    console=setup.console,
)
