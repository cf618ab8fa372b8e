"""Is WeChat Pay set up right: its variables, a test notification, and what belongs in its console."""

import secrets
import time

from django.core.exceptions import ImproperlyConfigured

from payments.providers.spec import Letter, Values
from payments.providers.variables import private_key, public_key


def account(values: Values) -> dict[str, str]:
    """Raises `ImproperlyConfigured`."""
    if len(values["WECHATPAY_APIV3_KEY"].encode()) != 32:
        raise ImproperlyConfigured("WECHATPAY_APIV3_KEY must be 32 bytes long.")
    if not values["WECHATPAY_PUBLIC_KEY_ID"].startswith("PUB_KEY_ID_"):
        raise ImproperlyConfigured("WECHATPAY_PUBLIC_KEY_ID must start with PUB_KEY_ID_.")
    return {
        "mchid": values["WECHATPAY_MCHID"],
        "appid": values["WECHATPAY_APPID"],
        "private_key": private_key(values, "WECHATPAY_PRIVATE_KEY", pkcs8=True),
        "cert_serial": values["WECHATPAY_CERT_SERIAL"],
        "apiv3_key": values["WECHATPAY_APIV3_KEY"],
        "public_key": public_key(values, "WECHATPAY_PUBLIC_KEY"),
        "public_key_id": values["WECHATPAY_PUBLIC_KEY_ID"],
        "api_base": values["WECHATPAY_API_BASE"],
    }


def letter(values: Values) -> Letter:
    """As WeChat's own probes: refused."""
    headers = {
        "Content-Type": "application/json",
        "Wechatpay-Serial": values["WECHATPAY_PUBLIC_KEY_ID"],
        "Wechatpay-Signature": "WECHATPAY/SIGNTEST/none",
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        "Wechatpay-Timestamp": str(int(time.time())),
        "Wechatpay-Nonce": secrets.token_hex(16),
    }
    return Letter(b'{"id": "chuizi-check", "summary": "\xe9\x94\xa4\xe5\xad\x90"}', headers)


def console(values: Values, notify_url: str, refund_notify_url: str) -> list[str]:
    return [
        "Account centre > API security: the APIv3 key is WECHATPAY_APIV3_KEY; the certificate's serial number is"
        f" {values['WECHATPAY_CERT_SERIAL']}",
        f"  WeChat Pay's public key has the id {values['WECHATPAY_PUBLIC_KEY_ID']}",
        f"Product centre > Native payment: enabled for the APPID {values['WECHATPAY_APPID']}",
        f"Each order names its own notify address: {notify_url}",
        f"Each refund too: {refund_notify_url}",
    ]
