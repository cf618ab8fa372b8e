"""Steps that tests of automatic top-ups take: an owner agrees, a card is saved, a balance falls, workers look."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import Customer, Membership
from billing.models import Wallet
from billing.outbox import readers
from payments.automatic import agreements, attempts, cards, looking, terms
from payments.models import AutoTopUp, SavedCard, TopUp
from tests.sandbox_server import SandboxServer

VISA, DECLINED_LATER, WANTS_HOLDER = "4242424242424242", "4000000000000341", "4000002760003184"
UNTIL = (timezone.now() + timedelta(days=400)).date()


def agreed(customer: Customer, **changes: Any) -> AutoTopUp:
    """What an owner agreed to; it waits for a card, or is on where one is saved."""
    now, by = changes.pop("now", timezone.now()), changes.pop("by", None)
    wanted = {"amount": "20.00", "threshold": "10.00", "ceiling": "100.00", "until": UNTIL}
    more = {name: changes.pop(name) for name in ("new_card", "version", "address") if name in changes}
    wanted |= changes
    checked = terms.checked(**wanted, method="stripe", customer=customer, now=now)
    given = {"version": terms.VERSION, "address": "203.0.113.7", "locale": "en", "now": now} | more
    by = by or Membership.objects.filter(customer=customer, role="owner").first().user
    return agreements.agree(customer=customer, terms=checked, by=by, **given)


def enter(sandbox: SandboxServer, agreement: AutoTopUp, card: str = VISA) -> SavedCard:
    """The holder enters the card on the provider's page, and we find out."""
    cards.start(agreement.card)
    sandbox.control("POST", f"/setups/{agreement.card.setup_reference}/keep", card=card)
    return cards.look(card_id=agreement.card_id, now=timezone.now())


def switched_on(sandbox: SandboxServer, customer: Customer, card: str = VISA, **changes: Any) -> AutoTopUp:
    agreement = agreed(customer, **changes)
    enter(sandbox, agreement, card)
    agreement.refresh_from_db()
    return agreement


def work(*, now: datetime | None = None) -> list[TopUp]:
    """What the worker does with what is due: facts read, cards, balances."""
    now = now or timezone.now()
    readers.read(looking.READER, now=now)
    for card_id in cards.claim_due(now=now):
        cards.look(card_id=card_id, now=now)
    found = [attempts.look(agreement_id=pk, now=now) for pk in looking.claim_due(now=now)]
    return [topup for topup in found if topup is not None]


def later(minutes: float) -> datetime:
    return timezone.now() + timedelta(minutes=minutes)


def intents(sandbox: SandboxServer, status: str = "") -> list[dict[str, Any]]:
    """Payments by saved cards, as the provider has them."""
    return [
        order
        for order in sandbox.control("GET", "/orders?provider=stripe")["orders"]
        if order["number"].startswith("pi_") and status in ("", order["state"])
    ]


def paid(customer: Customer) -> Decimal:
    return Wallet.objects.get(customer=customer).paid
