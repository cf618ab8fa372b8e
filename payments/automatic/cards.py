"""Saved cards: entered on the provider's page, found out by asking, and removed at the provider when nobody wants them.

The provider is never called inside a transaction. Lock order: the card, its agreement, then the wallet.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from core import states
from payments.automatic.agreements import card_saved, turn_off
from payments.automatic.keeping import provider_of
from payments.models import AutoTopUp, SavedCard, TopUp
from payments.providers import registry
from payments.providers.base import Outcome, ProviderError
from payments.providers.keeping import KeepOrder, Kept, KeptFact

log = logging.getLogger(__name__)

AGAIN, LEAVING_AGAIN = timedelta(seconds=30), timedelta(minutes=5)
GRACE = timedelta(minutes=1)
State = SavedCard.State


class _NotMovable(Exception):
    pass


def start(card: SavedCard) -> str:
    """The address of the page to enter the card on, asked for if need be; "" if the provider does not answer now."""
    if card.setup_url or card.state != State.OPEN:
        return card.setup_url if card.state == State.OPEN else ""
    asked = card.request
    order = KeepOrder(
        number=card.number,
        currency=registry.SPECS[card.provider].currency,
        expires_at=card.expires_at,
        return_url=f"{asked['site']}/console/auto-topup",
        email=asked["email"],
        locale=asked["locale"],
        payer=card.payer,
    )
    try:
        page = provider_of(card.provider).start_keeping(order)
    except (ProviderError, LookupError) as error:
        log.warning("%s has no page to enter a card on: %s", card.number, error)
        return ""
    values = {"setup_reference": page.reference, "setup_url": page.checkout_url}
    SavedCard.objects.filter(pk=card.pk, state=State.OPEN).update(**values)
    card.setup_reference, card.setup_url = page.reference, page.checkout_url
    return card.setup_url


def claim_due(*, now: datetime, most: int = 100) -> list[int]:
    """Cards whose turn it is, their next turn set, so that two workers take different ones."""
    with transaction.atomic():
        rows = SavedCard.objects.filter(look_at__lte=now).order_by("look_at")
        due = list(rows.select_for_update(skip_locked=True, no_key=True)[:most])
        for card in due:
            again = LEAVING_AGAIN if card.state == State.LEAVING else AGAIN
            SavedCard.objects.filter(pk=card.pk).update(look_at=now + again)
    return [card.pk for card in due]


def look(*, card_id: int, now: datetime) -> SavedCard:
    """Find out what became of the page, or remove the card; a repeat changes nothing."""
    card = SavedCard.objects.get(pk=card_id)
    try:
        provider = provider_of(card.provider)
        if card.state == State.OPEN:
            fact = provider.fetch_kept(card.setup_reference) if card.setup_reference else KeptFact(Outcome.PENDING)
            if fact.outcome is Outcome.PENDING and card.expires_at + GRACE <= now and card.setup_reference:
                provider.stop_keeping(card.setup_reference)
                fact = provider.fetch_kept(card.setup_reference)
            _settle(card_id, fact, now=now)
        elif card.state == State.LEAVING:
            _leave(card, now=now)
    except (ProviderError, LookupError) as error:
        log.warning("%s is looked at again: %s", card.number, error)
    card.refresh_from_db()
    return card


def _settle(card_id: int, fact: KeptFact, *, now: datetime) -> None:
    with transaction.atomic():
        card = SavedCard.objects.select_for_update(no_key=True).get(pk=card_id)
        if card.state != State.OPEN:
            return
        if fact.outcome is Outcome.OK and fact.card is not None:
            states.move(card, to=State.KEPT, error=_not_movable, changed_at=now, look_at=None, **_fields(fact.card))
            if not card_saved(card, now=now):
                states.move(card, to=State.LEAVING, error=_not_movable, changed_at=now, look_at=now)
        elif fact.outcome is Outcome.REJECTED or (not card.setup_reference and card.expires_at + GRACE <= now):
            states.move(card, to=State.GONE, error=_not_movable, changed_at=now, look_at=None)
            for agreement in _using(card):
                turn_off(agreement, reason=AutoTopUp.Off.NOT_SAVED, now=now)


def _leave(card: SavedCard, *, now: datetime) -> None:
    """A page that may still be open is closed first: the card may have been entered just then."""
    provider, reference = provider_of(card.provider), card.reference
    if not reference and card.setup_reference:
        provider.stop_keeping(card.setup_reference)
        fact = provider.fetch_kept(card.setup_reference)
        if fact.outcome in (Outcome.UNKNOWN, Outcome.PENDING):
            return
        if fact.card is not None:
            reference = fact.card.reference
            SavedCard.objects.filter(pk=card.pk).update(**_fields(fact.card))
    if reference:
        provider.forget(reference)
    states.move_all(SavedCard.objects.filter(pk=card.pk), to=State.GONE, changed_at=now, look_at=None)


def distrust(*, provider: str, fingerprint: str, topup: TopUp | None, reason: str, now: datetime) -> int:
    """A payment of a card is disputed or reported as fraud: automatic top-up by that card is switched off, in whatever
    account, and the card removed. How many cards it were; a repeat changes nothing.
    """
    same = Q(fingerprint=fingerprint) if fingerprint else Q(pk=None)
    if topup is not None and topup.automatic_id is not None:
        same |= Q(auto_topups=topup.automatic_id)
    found = SavedCard.objects.filter(same, provider=provider, state=State.KEPT).distinct().values_list("pk", flat=True)
    for card_id in sorted(found):
        with transaction.atomic():
            card = SavedCard.objects.select_for_update(no_key=True).get(pk=card_id)
            for agreement in _using(card):
                turn_off(agreement, reason=reason, now=now)
            states.move_all(SavedCard.objects.filter(pk=card_id), to=State.LEAVING, changed_at=now, look_at=now)
    return len(found)


def _using(card: SavedCard) -> list[AutoTopUp]:
    rows = AutoTopUp.objects.select_for_update(no_key=True).filter(card=card).exclude(state=AutoTopUp.State.OFF)
    return list(rows.order_by("id"))


def _fields(card: Kept) -> dict[str, object]:
    return {
        "payer": card.payer,
        "reference": card.reference,
        "fingerprint": card.fingerprint,
        "brand": card.brand,
        "last4": card.last4,
        "exp_month": card.exp_month,
        "exp_year": card.exp_year,
    }


def _not_movable(card: SavedCard) -> Exception:
    return _NotMovable(f"{card.number} is {card.state}")
