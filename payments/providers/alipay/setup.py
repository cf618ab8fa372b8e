"""Is Alipay set up right: its variables, a test notification, and what belongs in its console."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from payments.providers.spec import Letter, Values
from payments.providers.variables import pem, private_key, public_key


def account(values: Values) -> dict[str, str]:
    """Raises `ImproperlyConfigured`."""
    return {
        "app_id": values["ALIPAY_APP_ID"],
        "seller_id": values["ALIPAY_SELLER_ID"],
        "app_private_key": private_key(values, "ALIPAY_APP_PRIVATE_KEY"),
        "public_key": public_key(values, "ALIPAY_PUBLIC_KEY"),
        "gateway": values["ALIPAY_GATEWAY"],
    }


def letter(values: Values) -> Letter:
    """Alipay alone could sign it: it is refused, and shows that it came through, blank fields included."""
    body = b"notify_type=chuizi_check&subject=%E9%94%A4%E5%AD%90&body=&sign_type=RSA2&sign=none"
    return Letter(body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})


def console(values: Values, notify_url: str, refund_notify_url: str) -> list[str]:
    """The public key is what follows from our private one."""
    key = load_pem_private_key(pem(values, "ALIPAY_APP_PRIVATE_KEY").encode(), password=None).public_key()
    der = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return [
        "Development settings > Interface signing (RSA2, public key mode), the application's public key:",
        f"  {''.join(der.splitlines()[1:-1])}",
        "  Alipay's own public key, shown there afterwards, goes into ALIPAY_PUBLIC_KEY",
        f"Each order names its own notify address: {notify_url}",
    ]
