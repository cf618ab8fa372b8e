"""Is a provider set up right? Its answer to our keys, our door as seen from outside, and what belongs in its console.

The door is tried with a test notification to the public address. It carries a nonce signed with our own key; this
installation, and no other, answers with a mark over the nonce and over what arrived, so that a redirect, another
server, and a proxy that changes bodies or drops headers are all seen.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.conf import settings

from chuizi.crypto import keyed_hash
from chuizi.outside import outside
from payments.providers import registry
from payments.providers.base import Outcome
from payments.topups import NOTIFY_PATHS

PROBE_HEADER = "X-Chuizi-Check"
PROBE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")
TIMEOUT_SECONDS = 15
UNKNOWN_ORDER = "chuizicheck000000000000"
SIGNATURES = {"stripe": "Stripe-Signature", "alipay": "Content-Type", "wechat": "Wechatpay-Signature"}
"""A header of each provider's notifications that must come through as it was sent."""
STRIPE_EVENTS = (
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
)


@dataclass(slots=True)
class Check:
    """What was found of one provider: sentences that are right, those that are not, and lines for its console."""

    provider: str
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    to_paste: list[str] = field(default_factory=list)


def check(*, provider: str) -> Check:
    """Ask the provider and knock at our own door; `provider` is one that is on."""
    found = Check(provider, to_paste=CONSOLES[provider]())
    found.right.append("The variables have the right form.")
    _ask(found)
    _knock(found)
    return found


def mark_of(*, provider: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The answer to a test notification of ours; "" to anything else."""
    probe = PROBE.fullmatch(headers.get(PROBE_HEADER, ""))
    if probe is None or not hmac.compare_digest(probe[2], keyed_hash(probe[1], purpose="payment-check")):
        return ""
    return _mark(nonce=probe[1], body=body, signature=headers.get(SIGNATURES[provider], ""))


def _mark(*, nonce: str, body: bytes, signature: str) -> str:
    arrived = hashlib.sha256(body).hexdigest()
    return keyed_hash(f"{nonce}:{arrived}:{signature}", purpose="payment-check-answer")


def _ask(found: Check) -> None:
    """Ask about an order that does not exist: whoever says so has taken our keys."""
    provider = registry.get(found.provider)
    reference = "cs_test_chuizicheck" if found.provider == "stripe" else ""
    fact = provider.fetch_payment(number=UNKNOWN_ORDER, reference=reference)
    if fact.outcome is Outcome.PENDING or "resource_missing" in fact.detail:
        found.right.append("The provider takes our keys.")
    else:
        found.wrong.append(f"The provider does not take our keys, or does not answer: {fact.detail}.")


def _knock(found: Check) -> None:
    url = f"{settings.SITE_URL}{NOTIFY_PATHS[found.provider]}"
    body, headers = LETTERS[found.provider]()
    nonce = secrets.token_hex(16)
    headers |= {PROBE_HEADER: f"{nonce}.{keyed_hash(nonce, purpose='payment-check')}"}
    try:
        with outside():
            answer = requests.post(url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        found.wrong.append(f"{url} cannot be reached ({type(error).__name__}): is SITE_URL the public address?")
        return
    if answer.is_redirect or answer.is_permanent_redirect:
        where = answer.headers.get("Location", "")
        found.wrong.append(f"{url} redirects to {where[:200]}; notifications follow no redirect. Mend SITE_URL.")
        return
    mark = answer.headers.get(PROBE_HEADER, "")
    if not mark:
        found.wrong.append(f"{url} answers {answer.status_code}, but not as this installation does.")
    elif mark != _mark(nonce=nonce, body=body, signature=headers[SIGNATURES[found.provider]]):
        found.wrong.append(f"Something before {url} changes bodies or drops headers, which breaks signatures.")
    elif found.provider == "stripe" and answer.status_code != 200:
        found.wrong.append(f"{url} refuses an event signed with STRIPE_WEBHOOK_SECRET ({answer.status_code}).")
    else:
        found.right.append(f"Notifications to {url} arrive as they were sent.")


def _stripe_letter() -> tuple[bytes, dict[str, str]]:
    """Signed as Stripe signs; of a kind that nothing is done about."""
    from payments.providers.stripe import API_VERSION

    event = {
        "id": "evt_chuizi_check",
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "type": "chuizi.check",
        "data": {"object": {"object": "check"}},
    }
    body = json.dumps(event).encode()
    stamp = int(time.time())
    secret = settings.PAYMENT_VARIABLES["STRIPE_WEBHOOK_SECRET"]
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"Content-Type": "application/json", "Stripe-Signature": f"t={stamp},v1={signature}"}


def _alipay_letter() -> tuple[bytes, dict[str, str]]:
    """Alipay alone could sign it: it is refused, and shows that it came through, blank fields included."""
    body = b"notify_type=chuizi_check&subject=%E9%94%A4%E5%AD%90&body=&sign_type=RSA2&sign=none"
    return body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def _wechat_letter() -> tuple[bytes, dict[str, str]]:
    """As WeChat's own probes: refused."""
    headers = {
        "Content-Type": "application/json",
        "Wechatpay-Serial": settings.PAYMENT_VARIABLES["WECHATPAY_PUBLIC_KEY_ID"],
        "Wechatpay-Signature": "WECHATPAY/SIGNTEST/none",
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        "Wechatpay-Timestamp": str(int(time.time())),
        "Wechatpay-Nonce": secrets.token_hex(16),
    }
    return b'{"id": "chuizi-check", "summary": "\xe9\x94\xa4\xe5\xad\x90"}', headers


LETTERS: Mapping[str, Callable[[], tuple[bytes, dict[str, str]]]] = {
    "stripe": _stripe_letter,
    "alipay": _alipay_letter,
    "wechat": _wechat_letter,
}


def _stripe_console() -> list[str]:
    from payments.providers.stripe import API_VERSION

    return [
        "Developers > Webhooks > Add destination:",
        f"  Endpoint URL: {settings.SITE_URL}{NOTIFY_PATHS['stripe']}",
        f"  API version: {API_VERSION}",
        f"  Events: {', '.join(STRIPE_EVENTS)}",
        "  Signing secret: goes into STRIPE_WEBHOOK_SECRET",
    ]


def _alipay_console() -> list[str]:
    """The public key is what follows from our private one."""
    pem = registry.pem_of("ALIPAY_APP_PRIVATE_KEY")
    key = load_pem_private_key(pem.encode(), password=None).public_key()
    der = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return [
        "Development settings > Interface signing (RSA2, public key mode), the application's public key:",
        f"  {''.join(der.splitlines()[1:-1])}",
        "  Alipay's own public key, shown there afterwards, goes into ALIPAY_PUBLIC_KEY",
        f"Each order names its own notify address: {settings.SITE_URL}{NOTIFY_PATHS['alipay']}",
    ]


def _wechat_console() -> list[str]:
    return [
        "Account centre > API security: the APIv3 key is WECHATPAY_APIV3_KEY; the certificate's serial number is"
        f" {settings.PAYMENT_VARIABLES['WECHATPAY_CERT_SERIAL']}",
        f"  WeChat Pay's public key has the id {settings.PAYMENT_VARIABLES['WECHATPAY_PUBLIC_KEY_ID']}",
        f"Product centre > Native payment: enabled for the APPID {settings.PAYMENT_VARIABLES['WECHATPAY_APPID']}",
        f"Each order names its own notify address: {settings.SITE_URL}{NOTIFY_PATHS['wechat']}",
        f"Each refund too: {settings.SITE_URL}/payments/wechat/refund-notify",
    ]


CONSOLES: Mapping[str, Callable[[], list[str]]] = {
    "stripe": _stripe_console,
    "alipay": _alipay_console,
    "wechat": _wechat_console,
}
