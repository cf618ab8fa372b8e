"""Looking whether a balance is below its threshold, and beginning an attempt if it is.

A look is due when automatic top-up is switched on, when the wallet fell below the line or a member left or got another
role (facts of the outbox), after each attempt, and five minutes after the last look: what counts is where the balance
stands, not that it fell.
Lock order: the agreement, then the wallet.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from accounts.people.customers import language_of
from billing.books.ledger import lock_wallets
from billing.books.money import ZERO
from billing.levels import level_of
from billing.models import Event, RefundRequest, Wallet
from billing.outbox.kinds import Fact
from payments.automatic import rule
from payments.automatic.agreements import is_backed, turn_off
from payments.automatic.rule import Standing
from payments.automatic.terms import month_began
from payments.models import AutoTopUp, Dispute, TopUp
from payments.topups import abuse
from payments.topups.orders import new_order
from payments.topups.quotes import methods, quote

READER = "automatic top-up"
FACTS = (Fact.BALANCE_CROSSED, Fact.MEMBER_LEFT, Fact.MEMBER_ROLE)
EVERY = timedelta(minutes=5)
ORDER_LIFE = timedelta(hours=24)
COUNTED = (TopUp.State.OPEN, TopUp.State.PAID)


def read(event: Event) -> None:
    """A wallet fell below its line, or an account's people changed: look now."""
    on = AutoTopUp.objects.filter(customer_id=event.customer_id or 0, state=AutoTopUp.State.ON)
    on.update(look_at=event.created_at)


def claim_due(*, now: datetime, most: int = 200) -> list[int]:
    """Agreements that are to be looked at, their next look set, so that two workers take different ones."""
    with transaction.atomic():
        rows = AutoTopUp.objects.filter(state=AutoTopUp.State.ON, look_at__lte=now).order_by("look_at")
        due = [row.pk for row in rows.select_for_update(skip_locked=True, no_key=True)[:most]]
        AutoTopUp.objects.filter(pk__in=due).update(look_at=now + EVERY)
    return due


def begin_if_low(*, agreement_id: int, now: datetime) -> TopUp | None:
    """Store an attempt with its number, if one is due; nobody is asked for money yet."""
    with transaction.atomic():
        rows = AutoTopUp.objects.select_for_update(no_key=True, of=("self",)).select_related("customer", "card")
        agreement = rows.filter(pk=agreement_id, state=AutoTopUp.State.ON).first()
        if agreement is None:
            return None
        if now >= agreement.ends_at:
            turn_off(agreement, reason=AutoTopUp.Off.ENDED, now=now)
            return None
        if not is_backed(agreement):
            turn_off(agreement, reason=AutoTopUp.Off.LEFT, now=now)
            return None
        wallet = lock_wallets([agreement.customer_id])[agreement.customer_id]
        standing = standing_of(agreement, wallet, now=now)
        wait, topup = rule.decide(standing, now=now), None
        if wait is None:
            quoted = quote(amount=rule.wanted(standing), method=agreement.card.provider, now=now)
            if rule.is_within_ceiling(standing, charge=quoted.charge):
                topup = new_order(
                    customer=agreement.customer,
                    amount=rule.wanted(standing),
                    method=agreement.card.provider,
                    quoted=quoted,
                    locale=language_of(agreement.customer),
                    life=ORDER_LIFE,
                    automatic=agreement,
                    now=now,
                )
            wait = rule.Wait.CEILING if topup is None else rule.Wait.UNRESOLVED
        AutoTopUp.objects.filter(pk=agreement.pk).update(waits=wait, look_at=now + EVERY)
    return topup


def standing_of(agreement: AutoTopUp, wallet: Wallet, *, now: datetime) -> Standing:
    """What the rule asks. For a decision the caller holds the wallet's lock."""
    customer = agreement.customer
    mine = TopUp.objects.filter(customer=customer, automatic__isnull=False)
    last = mine.order_by("-created_at").values_list("created_at", flat=True).first()
    is_disputed = Dispute.objects.filter(customer=customer).exclude(status__in=Dispute.OVER).exists()
    return Standing(
        level=level_of(wallet),
        threshold=agreement.threshold,
        amount=agreement.amount,
        most=settings.TOPUP_MAX,
        ceiling=agreement.ceiling,
        spent=spent(agreement, now=now),
        daily_room=abuse.daily_room(customer=customer, now=now),
        is_suspended=type(customer).objects.filter(pk=customer.pk, suspended_at__isnull=False).exists(),
        is_disputed=is_disputed or (wallet.disputed > 0 and wallet.paid < 0),
        wants_refund=RefundRequest.objects.filter(customer=customer, state__in=RefundRequest.OPEN).exists(),
        is_method_on=agreement.card.provider in methods(),
        is_unresolved=mine.open().exists(),
        begun_at=last,
    )


def spent(agreement: AutoTopUp, *, now: datetime) -> Decimal:
    """What automatic attempts that began in the account's month cost or may cost, USD with fees."""
    begun = TopUp.objects.filter(
        customer_id=agreement.customer_id,
        automatic__isnull=False,
        state__in=COUNTED,
        created_at__gte=month_began(now, agreement.customer),
    )
    return begun.aggregate(sum=Sum("charge_amount"))["sum"] or ZERO
