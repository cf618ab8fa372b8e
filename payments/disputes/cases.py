"""Disputes: the bank of a card takes a payment back, and perhaps returns it.

Whatever tells us of a dispute, `settle_dispute` fetches it again and posts what is missing, so the order of the events
does not matter. Lock order: the dispute, its top-up, the wallet, the customer's suspension, then holds. The provider
is never called inside a transaction.
"""

import logging
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Sum
from django.utils.translation import gettext_noop

from accounts.models import Customer
from accounts.people import customers
from billing.books import chart, holds
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, lock_wallets, post, set_disputed
from billing.books.money import usd
from billing.models import CreditTask, Hold, Wallet
from payments import refunds
from payments.automatic import cards
from payments.disputes import facts
from payments.invoices.sources import want_credit
from payments.models import AutoTopUp, Dispute, DisputeMovement, FraudWarning, TopUp
from payments.providers import registry
from payments.providers.base import DisputeFact, DisputingProvider, Movement
from payments.topups.orders import Result, settle_topup
from payments.topups.shares import fee_of

log = logging.getLogger(__name__)

NOTHING = Decimal("0.00")
MOST_ATTEMPTS = 5
SUSPENDED = gettext_noop("a card payment is disputed") + " ({number})"


class NotYet(Exception):
    """What it is about is not settled itself yet; try again later."""


def provider_of(code: str) -> DisputingProvider:
    """Raises `LookupError` for a provider that is off, or that knows no disputes."""
    provider = registry.get(code)
    if not isinstance(provider, DisputingProvider):
        raise LookupError(f"{code} tells of no disputes")
    return provider


def settle_dispute(*, provider: str, dispute_id: str, now: datetime) -> Dispute:
    """Fetch a dispute and bring the books to what its provider says; a repeat changes nothing.

    Raises `ProviderError`, `LookupError`, and `NotYet` while the payment is not credited but may be.
    """
    for _attempt in range(MOST_ATTEMPTS):
        version = _version(provider, dispute_id)
        fact = provider_of(provider).fetch_dispute(dispute_id)
        topup = topup_of(provider=provider, payment_id=fact.payment_id, now=now)
        dispute = _book(provider, fact, topup, version=version, now=now)
        if dispute is not None:
            break
    else:
        raise NotYet(f"{dispute_id} is being settled by others")
    if dispute.problem:
        log.error("dispute %s: %s", dispute.provider_id, dispute.problem)
    if dispute.topup_id is not None:
        refunds.call_off(topup_id=dispute.topup_id, now=now)
    if dispute.status not in Dispute.WON:
        disputed = AutoTopUp.Off.DISPUTED
        cards.distrust(provider=provider, fingerprint=fact.card, topup=dispute.topup, reason=disputed, now=now)
    return dispute


def topup_of(*, provider: str, payment_id: str, now: datetime) -> TopUp | None:
    """The paid top-up behind a provider's payment, credited first if its own notification was slower.

    None if it is none of ours. Raises `ProviderError`, and `NotYet` while it may still be credited.
    """
    if not payment_id:
        return None
    paid = TopUp.objects.filter(method=provider, state=TopUp.State.PAID)
    known = paid.filter(transaction_id=payment_id).first()
    if known is not None:
        return known
    fact = registry.get(provider).find_payment(payment_id)
    number = fact.order_number
    topup = TopUp.objects.filter(method=provider, number=number).first() if number else None
    if topup is None:
        return None
    result = settle_topup(topup_id=topup.pk, now=now, payment_id=fact.transaction_id)
    if result in (Result.PENDING, Result.UNKNOWN):
        raise NotYet(f"{topup.number} is not settled")
    return paid.filter(transaction_id=payment_id).first()


def keeps_suspended(customer_id: int) -> bool:
    """Whether spending stays suspended when a dispute is won: another is not, or there was a warning of fraud."""
    return (
        Dispute.objects.filter(customer_id=customer_id, suspended_at__isnull=False)
        .exclude(status__in=Dispute.WON)
        .exists()
        or FraudWarning.objects.filter(customer_id=customer_id).exists()
    )


def _version(provider: str, dispute_id: str) -> int:
    found = Dispute.objects.filter(provider=provider, provider_id=dispute_id).values_list("version", flat=True)
    return found.first() or 0


def _book(provider: str, fact: DisputeFact, topup: TopUp | None, *, version: int, now: datetime) -> Dispute | None:
    """Take over an answer, or None if another was booked while it was on its way: it may be the older one."""
    with transaction.atomic():
        dispute, topup = _locked(provider, fact, topup, now=now)
        if _is_booked(dispute, fact):
            return dispute
        if dispute.version != version:
            return None
        was_known = dispute.suspended_at is not None
        dispute.version += 1
        dispute.payment_id, dispute.reason = fact.payment_id, fact.reason[:60]
        dispute.amount, dispute.currency = fact.amount, fact.currency
        dispute.status, dispute.evidence_due_at = fact.status[:30], fact.evidence_due_at
        dispute.problem, dispute.changed_at = _problem(dispute, fact), now
        dispute.save()
        if topup is not None and not dispute.problem:
            _settle(dispute, topup, fact, now=now)
        elif topup is not None:
            _protect(dispute, topup, now=now)
        if dispute.suspended_at is not None and not was_known:
            facts.tell_opened(dispute, now=now)
    return dispute


def _is_booked(dispute: Dispute, fact: DisputeFact) -> bool:
    """Whether the books stand at this answer already."""
    says = (fact.status[:30], fact.amount, fact.currency, fact.evidence_due_at)
    return (
        dispute.version > 0
        and not dispute.problem
        and says == (dispute.status, dispute.amount, dispute.currency, dispute.evidence_due_at)
        and {movement.row_id for movement in fact.movements}
        == set(dispute.movements.values_list("provider_id", flat=True))
    )


def _locked(provider: str, fact: DisputeFact, topup: TopUp | None, *, now: datetime) -> tuple[Dispute, TopUp | None]:
    """The dispute's row, locked, then its top-up's and its wallet's."""
    Dispute.objects.get_or_create(
        provider=provider,
        provider_id=fact.dispute_id,
        defaults={
            "payment_id": fact.payment_id,
            "status": fact.status,
            "amount": fact.amount,
            "currency": fact.currency,
            "opened_at": fact.opened_at,
            "changed_at": now,
        },
    )
    dispute = Dispute.objects.select_for_update(no_key=True).get(provider=provider, provider_id=fact.dispute_id)
    if dispute.topup_id is None and topup is not None:
        dispute.topup, dispute.customer_id = topup, topup.customer_id
    if dispute.topup_id is None:
        return dispute, None
    topup = TopUp.objects.select_for_update(no_key=True).get(pk=dispute.topup_id)
    lock_wallets([topup.customer_id])
    return dispute, topup


def _problem(dispute: Dispute, fact: DisputeFact) -> str:
    """Why staff have to look at it, or ""."""
    if dispute.topup_id is None:
        return f"no top-up is known for payment {fact.payment_id}"[:200]
    if fact.currency != "USD":  # the currency of the charge; what it moves may be in the account's
        return f"in {fact.currency}: book it by hand"
    if fact.unknown:
        return f"it moved money in a currency that the books do not know: {', '.join(fact.unknown)}"[:200]
    return "" if fact.amount > 0 else f"of {fact.amount}: book it by hand"


def _settle(dispute: Dispute, topup: TopUp, fact: DisputeFact, *, now: datetime) -> None:
    _suspend_or_lift(dispute, topup, now=now)
    posted = set(dispute.movements.values_list("provider_id", flat=True))
    new = [movement for movement in fact.movements if movement.row_id not in posted]
    for movement in sorted(new, key=lambda movement: (movement.at, movement.amount > 0, movement.row_id)):
        _move(dispute, topup, movement, now=now)
    _hold(dispute, topup, _left(dispute, topup) if dispute.is_open else NOTHING, now=now)
    _sum_up(dispute, topup)
    if not dispute.is_open:  # lost, it bites into what is invoiced; won, it does no longer
        want_credit(topup=topup, reason=CreditTask.Reason.DISPUTE, now=now)


def _protect(dispute: Dispute, topup: TopUp, *, now: datetime) -> None:
    """Staff book what it moves; until they do, nothing of the payment is spent: all that is left of it is held."""
    _suspend_or_lift(dispute, topup, now=now)
    left = max(topup.amount - topup.refunded - dispute.withdrawn, NOTHING)
    _hold(dispute, topup, left if dispute.is_open else NOTHING, now=now)
    _sum_up(dispute, topup)


def _sum_up(dispute: Dispute, topup: TopUp) -> None:
    """The dispute as it is now, in the sums of its top-up and its wallet."""
    dispute.save()
    sums = Dispute.objects.filter(topup=topup).aggregate(sum=Sum(F("held") + F("withdrawn")))
    TopUp.objects.filter(pk=topup.pk).update(disputed=max(sums["sum"] or NOTHING, NOTHING))
    disputed = TopUp.objects.filter(customer_id=topup.customer_id).aggregate(sum=Sum("disputed"))
    set_disputed(customer_id=topup.customer_id, amount=disputed["sum"] or NOTHING)


def _suspend_or_lift(dispute: Dispute, topup: TopUp, *, now: datetime) -> None:
    """Suspend once a dispute, and lift what disputes suspended: what staff decide besides stays."""
    customer = Customer.objects.get(pk=topup.customer_id)
    if dispute.status in Dispute.WON:
        by_disputes = Dispute.objects.filter(customer=customer, suspended_at=customer.suspended_at)
        if customer.is_suspended and by_disputes.exists() and not keeps_suspended(customer.pk):
            customers.lift_suspension(customer=customer)
    elif dispute.suspended_at is None and not dispute.status.startswith("warning_"):
        dispute.suspended_at = now
        if not customer.is_suspended:
            reason = SUSPENDED.format(number=topup.number)
            customers.suspend(customer=customer, reason=reason, now=now, is_told=False)  # the dispute's own letter does


def _move(dispute: Dispute, topup: TopUp, movement: Movement, *, now: datetime) -> None:
    """Book one row of the provider's: what it took from us leaves the wallet, what it gave back returns there."""
    moved = in_charge(dispute, movement)
    before = dispute.movements.aggregate(amount=Sum("booked"), fee=Sum("topup_fee"))
    taken = -(before["amount"] or NOTHING) - moved
    topup_fee = fee_of(topup, taken) - (before["fee"] or NOTHING)
    credit = -moved - topup_fee
    if moved < 0:
        _hold(dispute, topup, _left(dispute, topup), now=now)
        if share := min(credit, dispute.held):
            holds.capture_share(key=_hold_key(dispute), share=usd(share), now=now)
            dispute.held -= share
    dispute.withdrawn += credit
    recovered = max(dispute.written_off - max(dispute.withdrawn, NOTHING), NOTHING)
    dispute.recovered += recovered
    DisputeMovement.objects.create(
        dispute=dispute,
        provider_id=movement.row_id[:80],
        amount=movement.amount,
        fee=movement.fee,
        topup_fee=topup_fee,
        currency=movement.currency,
        booked=moved,
        at=movement.at,
        posted_at=now,
    )
    post(_postings(dispute, movement, credit, topup_fee, recovered), now=now, group=dispute.ledger_key)


def _left(dispute: Dispute, topup: TopUp) -> Decimal:
    """What of the credit the dispute may still take, USD; the fee's share is the house's."""
    return max(dispute.amount - fee_of(topup, dispute.amount) - dispute.withdrawn, NOTHING)


def in_charge(dispute: Dispute, movement: Movement) -> Decimal:
    """What a movement is in the currency of the charge: where the account settles in another, all that is disputed.

    A provider takes a dispute back, and returns it, in one row each, at the rate of the day.
    """
    if movement.currency == dispute.currency or not movement.amount:
        return movement.amount
    return dispute.amount.copy_sign(movement.amount)


def _postings(
    dispute: Dispute, movement: Movement, credit: Decimal, topup_fee: Decimal, recovered: Decimal
) -> list[Posting]:
    key, memo = f"{dispute.ledger_key}:{movement.row_id}", dispute.topup.number if dispute.topup else ""
    paid = Wallet.objects.select_related("paid_account").get(pk=dispute.customer_id).paid_account
    clearing = house_account(chart.clearing(dispute.provider, dispute.currency))
    account = house_account(chart.clearing(dispute.provider, movement.currency))
    fees = house_account(chart.fees(movement.currency))
    earned = house_account(chart.topup_fees(dispute.currency)) if topup_fee else fees
    both_ways = (
        (key, (Kind.DISPUTE, paid, clearing), (Kind.DISPUTE_REINSTATED, clearing, paid), credit),
        (
            f"{key}:topup_fee",
            (Kind.TOPUP_FEE_DISPUTED, earned, clearing),
            (Kind.TOPUP_FEE_REINSTATED, clearing, earned),
            topup_fee,
        ),
        (f"{key}:fee", (Kind.FEE, fees, account), (Kind.FEE_RETURNED, account, fees), movement.fee),
    )
    found = [
        Posting(name, *(away if taken > 0 else back), amount=abs(taken), memo=memo)
        for name, away, back, taken in both_ways
        if taken
    ]
    if recovered > 0:  # the house bore it already: what comes back is the house's
        bad_debt = house_account(chart.BAD_DEBT)
        found.append(Posting(f"{key}:recovered", Kind.WRITE_OFF_RECOVERED, paid, bad_debt, recovered, memo))
    return found


def _hold(dispute: Dispute, topup: TopUp, wanted: Decimal, *, now: datetime) -> None:
    """The dispute's one open hold becomes `wanted` USD."""
    if wanted == dispute.held:
        return
    if dispute.held > 0:
        reason = dispute.status if wanted == 0 else "held anew"
        holds.resolve([holds.Resolution(_hold_key(dispute), None, reason)], now=now)
    if wanted > 0:
        dispute.holds += 1
        holds.place(
            customer_id=topup.customer_id,
            key=_hold_key(dispute),
            kind=Hold.Kind.DISPUTE,
            amount=usd(wanted),
            now=now,
            may_overdraw=True,
        )
    dispute.held = wanted


def _hold_key(dispute: Dispute) -> str:
    return dispute.ledger_key if dispute.holds <= 1 else f"{dispute.ledger_key}:{dispute.holds}"
