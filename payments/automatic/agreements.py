"""Automatic top-up is agreed to, and switched off: by an owner, or by what happened to its card.

Lock order: the card, the agreement, then the wallet.
"""

from datetime import datetime, timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _

from accounts.models import Customer, Membership, User
from accounts.people.customers import language_of
from accounts.roles import Right, roles_with
from billing.books.ledger import watch
from billing.outbox import events
from billing.outbox.kinds import Fact
from core import states
from payments.automatic import terms as agreed
from payments.automatic.keeping import keeper
from payments.automatic.terms import AutoTopUpError, Terms
from payments.models import AutoTopUp, SavedCard, TopUp

PAGE_LIFE = timedelta(hours=1)
FIRST_LOOK = timedelta(seconds=10)
Off, State = AutoTopUp.Off, AutoTopUp.State
SILENT = (Off.OWNER, Off.REPLACED, Off.NOT_SAVED)
"""Whoever did these knows of them."""


class _NotMovable(Exception):
    pass


def current(customer_id: int) -> AutoTopUp | None:
    """What is on, else what waits for its card, else what was on last."""
    rows = AutoTopUp.objects.filter(customer_id=customer_id).select_related("card", "customer")
    for state in (State.ON, State.WAITING):
        if (found := rows.filter(state=state).first()) is not None:
            return found
    return rows.exclude(off_reason=Off.REPLACED).order_by("-off_at", "-id").first()


def is_on(customer_id: int) -> bool:
    return AutoTopUp.objects.filter(customer_id=customer_id, state=State.ON).exists()


def is_backed(agreement: AutoTopUp) -> bool:
    """Whether who agreed to it, and who agreed first with its card, may still switch it off."""
    first = AutoTopUp.objects.filter(card_id=agreement.card_id).order_by("id").values_list("agreed_by", flat=True)[:1]
    people = {agreement.agreed_by_id, *first}
    may = Membership.objects.filter(customer_id=agreement.customer_id, role__in=roles_with(Right.AUTO_TOPUP))
    return may.filter(user__in=people, user__is_active=True).count() == len(people)


def waiting(customer_id: int) -> AutoTopUp | None:
    """What waits for its card, beside what may be on."""
    rows = AutoTopUp.objects.filter(customer_id=customer_id, state=State.WAITING)
    return rows.select_related("card", "customer").first()


def agree(
    *,
    customer: Customer,
    terms: Terms,
    version: str,
    by: User,
    address: str,
    locale: str,
    now: datetime,
    new_card: bool = False,
) -> AutoTopUp:
    """Store what an owner agreed to. It is on at once where a card is saved already, unless `new_card`; else it waits
    for one, and `cards.start` has the page for it. The same terms again are the ones that are there.

    Raises `AutoTopUpError`.
    """
    if version != agreed.VERSION:
        raise AutoTopUpError(_("The text has changed. Read it again."), field="consent_version", status=409)
    if Customer.objects.filter(pk=customer.pk, suspended_at__isnull=False).exists():
        raise AutoTopUpError(_("This account is suspended. Write to support."), status=403)
    if not EmailAddress.objects.filter(user__in=customer.members.all(), verified=True).exists():
        raise AutoTopUpError(_("Confirm your email address before you save a card."))
    provider = keeper()
    if provider is None:
        raise AutoTopUpError(_("Automatic top-up is switched off: no payment method here can save a card."))
    fields: dict[str, Any] = {
        "customer": customer,
        "amount": terms.amount,
        "threshold": terms.threshold,
        "ceiling": terms.ceiling,
        "ends_at": agreed.ends_at(terms, customer),
    }
    rest = {
        "consent": agreed.consent(terms, customer=customer, locale=locale),
        "consent_version": version,
        "agreed_at": now,
        "agreed_by": by,
        "agreed_from": address[:64],
        "changed_at": now,
    }
    try:
        with transaction.atomic():
            return _agree(fields, rest, provider=provider, locale=locale, new_card=new_card, now=now)
    except IntegrityError:
        raise AutoTopUpError(_("Somebody else is changing this just now. Look again."), status=409) from None


def _agree(
    fields: dict[str, Any], rest: dict[str, Any], *, provider: str, locale: str, new_card: bool, now: datetime
) -> AutoTopUp:
    customer = fields["customer"]
    rows = AutoTopUp.objects.select_for_update(no_key=True, of=("self",)).select_related("card")
    alive = {row.state: row for row in rows.filter(customer=customer).exclude(state=State.OFF).order_by("id")}
    on, waits = alive.get(State.ON), alive.get(State.WAITING)
    is_same = [row for row in (on, waits) if row and all(getattr(row, name) == fields[name] for name in fields)]
    if on is not None and not new_card and on.card.state == SavedCard.State.KEPT:
        if waits is not None:
            turn_off(waits, reason=Off.REPLACED, now=now)
        if on in is_same:
            return on
        turn_off(on, reason=Off.REPLACED, now=now, keeps_card=True)
        made = AutoTopUp.objects.create(**fields, **rest, card=on.card, state=State.ON, look_at=now)
        watch(customer_id=customer.pk, below=made.threshold)
        return made
    if waits is not None:
        if waits in is_same and waits.card.expires_at > now and waits.card.state == SavedCard.State.OPEN:
            return waits
        turn_off(waits, reason=Off.REPLACED, now=now)
    known = SavedCard.objects.filter(customer=customer, provider=provider).exclude(payer="").order_by("-id").first()
    card = SavedCard.objects.create(
        customer=customer,
        provider=provider,
        number="card_" + get_random_string(20),
        payer=known.payer if known is not None else "",
        request={"site": settings.SITE_URL, "email": rest["agreed_by"].email, "locale": locale},
        expires_at=(now + PAGE_LIFE).replace(microsecond=0),
        created_at=now,
        changed_at=now,
        look_at=now + FIRST_LOOK,
    )
    return AutoTopUp.objects.create(**fields, **rest, card=card)


def switch_off(*, customer: Customer, now: datetime) -> bool:
    """An owner wants it no longer: nothing new is charged, and the card is removed. False if nothing was on."""
    with transaction.atomic():
        rows = AutoTopUp.objects.select_for_update(no_key=True).filter(customer=customer).exclude(state=State.OFF)
        ended = [turn_off(row, reason=Off.OWNER, now=now) for row in rows.order_by("id")]
        return any(ended)


def card_saved(card: SavedCard, *, now: datetime) -> bool:
    """What waited for this card, which the caller has locked, is on; False if nobody waits for it any more."""
    rows = AutoTopUp.objects.select_for_update(no_key=True).filter(customer_id=card.customer_id)
    alive = {row.state: row for row in rows.exclude(state=State.OFF).order_by("id")}
    mine, before = alive.get(State.WAITING), alive.get(State.ON)
    if mine is None or mine.card_id != card.pk:
        return False
    if before is not None:
        turn_off(before, reason=Off.REPLACED, now=now)
    states.move(mine, to=State.ON, error=_not_movable, look_at=now, changed_at=now)
    watch(customer_id=mine.customer_id, below=mine.threshold)
    return True


def turn_off(
    agreement: AutoTopUp, *, reason: str, now: datetime, topup: TopUp | None = None, keeps_card: bool = False
) -> bool:
    """End it, in the caller's transaction, with a fact where nobody may know of it; False if it has ended already.

    Its card is removed at the provider, unless other terms go on with it. An attempt that is under way is found out.
    """
    was_on = agreement.state == State.ON
    try:
        states.move(
            agreement,
            to=State.OFF,
            error=_not_movable,
            off_reason=reason,
            off_at=now,
            look_at=None,
            changed_at=now,
            waits="",
        )
    except _NotMovable:
        return False
    if was_on:
        watch(customer_id=agreement.customer_id, below=None)
    if not keeps_card:
        leaving = SavedCard.objects.filter(pk=agreement.card_id)
        states.move_all(leaving, to=SavedCard.State.LEAVING, changed_at=now, look_at=now)
    if reason not in SILENT:
        _tell(agreement, topup, now=now)
    return True


def _tell(agreement: AutoTopUp, topup: TopUp | None, *, now: datetime) -> None:
    data = {
        "off_reason": agreement.off_reason,
        "card": str(agreement.card),
        "amount": str(agreement.amount if topup is None else topup.amount),
        "topup": "" if topup is None else topup.number,
        "locale": language_of(agreement.customer),
    }
    events.record(
        Fact.AUTO_TOPUP_DISABLED,
        key=f"auto_topup:{agreement.pk}:disabled",
        subject=f"auto_topup:{agreement.pk}",
        data=data,
        now=now,
        customer_id=agreement.customer_id,
        about=agreement,
    )


def _not_movable(row: Any) -> Exception:
    return _NotMovable(f"{row} is {row.state}")
