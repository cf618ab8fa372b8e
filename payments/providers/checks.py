"""Is a provider set up right? Its answer to our keys, our address as seen from outside, what belongs in its console.

A test notification is sent to the public address. It carries a nonce signed with our own key; this
installation, and no other, answers with a mark over the nonce and over what arrived, so that a redirect, another
server, and a proxy that changes bodies or drops headers are all seen.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests
from django.conf import settings

from billing.books.money import PLACES
from core.crypto import keyed_hash
from core.outside import outside
from payments.providers import registry
from payments.providers.base import Outcome, ProviderError, SettlingProvider

PROBE_HEADER = "X-Chuizi-Check"
PROBE = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{64})")
TIMEOUT_SECONDS = 15
UNKNOWN_ORDER = "chuizicheck000000000000"


@dataclass(slots=True)
class Check:
    """What was found of one provider: sentences that are right, those that are not, and lines for its console."""

    provider: str
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    to_paste: list[str] = field(default_factory=list)


def check(*, provider: str) -> Check:
    """Ask the provider, and send a test notification to our public address; `provider` is one that is on."""
    spec = registry.SPECS[provider]
    urls = (f"{settings.SITE_URL}{path}" for path in (spec.notify_path, spec.refund_notify_path))
    found = Check(provider, to_paste=spec.console(settings.PAYMENT_VARIABLES, *urls))
    found.right.append("The variables have the right form.")
    if _ask(found):
        _settlement(found)
    _notify_ourselves(found)
    return found


def mark_of(*, provider: str, body: bytes, headers: Mapping[str, str]) -> str:
    """The answer to a test notification of ours; "" to anything else."""
    probe = PROBE.fullmatch(headers.get(PROBE_HEADER, ""))
    if probe is None or not hmac.compare_digest(probe[2], keyed_hash(probe[1], purpose="payment-check")):
        return ""
    return _mark(nonce=probe[1], body=body, signature=headers.get(registry.SPECS[provider].signature_header, ""))


def _mark(*, nonce: str, body: bytes, signature: str) -> str:
    arrived = hashlib.sha256(body).hexdigest()
    return keyed_hash(f"{nonce}:{arrived}:{signature}", purpose="payment-check-answer")


def _ask(found: Check) -> bool:
    """Ask about an order that does not exist: whoever says so has taken our keys."""
    provider = registry.get(found.provider)
    spec = registry.SPECS[found.provider]
    fact = provider.fetch_payment(number=UNKNOWN_ORDER, reference=spec.unknown_reference)
    if fact.outcome is Outcome.PENDING or "resource_missing" in fact.detail:
        found.right.append("The provider takes our keys.")
        return True
    found.wrong.append(f"The provider does not take our keys, or does not answer: {fact.detail}.")
    return False


def _settlement(found: Check) -> None:
    """In which currencies the account is, and what the books make of it."""
    provider = registry.get(found.provider)
    if not isinstance(provider, SettlingProvider):
        return
    try:
        currencies = provider.settles_in()
    except ProviderError as error:
        words = f"It does not say in which currency it settles: {error}. Statements need that permission too (Balance)."
        found.wrong.append(words)
        return
    charged = registry.SPECS[found.provider].currency
    for currency in currencies:
        if currency not in PLACES:
            found.wrong.append(f"It settles in {currency}, which the books do not know: nothing of it can be booked.")
        elif currency == charged:
            found.right.append(
                f"It settles in {currency}, as it charges: what it holds is clearing:{found.provider}:{currency}."
            )
        else:
            found.right.append(_exchanged(found.provider, charged, currency))


def _exchanged(provider: str, charged: str, currency: str) -> str:
    return (
        f"It settles in {currency}: fees and payouts are booked in {currency}, and each payment, refund and dispute"
        f" comes from clearing:{provider}:{charged} to clearing:{provider}:{currency} when its statement is matched."
        f" What then stands on fx:{charged} and fx:{currency} is the result of the exchange."
    )


def _notify_ourselves(found: Check) -> None:
    spec = registry.SPECS[found.provider]
    url, letter = f"{settings.SITE_URL}{spec.notify_path}", spec.letter(settings.PAYMENT_VARIABLES)
    nonce = secrets.token_hex(16)
    headers = {**letter.headers, PROBE_HEADER: f"{nonce}.{keyed_hash(nonce, purpose='payment-check')}"}
    try:
        with outside():
            answer = requests.post(
                url, data=letter.body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
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
    elif mark != _mark(nonce=nonce, body=letter.body, signature=headers[spec.signature_header]):
        found.wrong.append(f"Something before {url} changes bodies or drops headers, which breaks signatures.")
    elif letter.signed_with and answer.status_code != spec.accepted.status:
        found.wrong.append(f"{url} refuses an event signed with {letter.signed_with} ({answer.status_code}).")
    else:
        found.right.append(f"Notifications to {url} arrive as they were sent.")
