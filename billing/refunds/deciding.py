"""Asking and deciding: the customer's side and the desk's. It moves state only; payments sends."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from accounts.models import Customer, User
from accounts.people.customers import language_of
from billing.books.ledger import lock_wallets
from billing.books.money import ZERO
from billing.models import Hold, RefundRequest, Wallet
from billing.outbox.kinds import Fact
from billing.refunds.core import (
    REFUNDS,
    NotAllowed,
    NotMovable,
    RefundError,
    State,
    fit_less_owed,
    freeze,
    held_by_kind,
    locked,
    most_now,
    move,
    new_number,
    owed_by,
    refundable_now,
    thaw,
)
from billing.refunds.facts import tell
from billing.requests.four_eyes import objection
from billing.requests.steps import DAYS
from billing.requests.workdays import due_after


@dataclass(frozen=True, slots=True)
class Refundable:
    """How much of a wallet may be asked back, and why; USD. `amount` is at 2 places, the rest at 8."""

    amount: Decimal
    paid: Decimal
    bonus: Decimal
    frozen: Decimal
    """By refund requests that are open."""
    disputed: Decimal
    """Held until a dispute with the card's bank is decided."""
    in_flight: Decimal
    """Held for requests to models that are running."""
    budgets: Decimal
    """Set aside for runs that have not ended."""
    owed: Decimal
    """For refunds that were paid after they had failed, and whose money was spent meanwhile."""


def refundable(*, customer_id: int) -> Refundable:
    """`max(0, min(paid - refund and dispute holds, available - exposure))`, rounded down to the cent.

    What the customer owes for refunds that were paid after all is taken off: docs/ledger.md, "What can go back".
    """
    wallet = Wallet.objects.get(pk=customer_id)
    held, owed = held_by_kind(customer_id), owed_by(customer_id)
    return Refundable(
        amount=fit_less_owed(wallet, held, owed),
        paid=wallet.paid,
        bonus=wallet.bonus,
        frozen=held[Hold.Kind.REFUND],
        disputed=held[Hold.Kind.DISPUTE],
        in_flight=held[Hold.Kind.REQUEST] + held[Hold.Kind.JOB],
        budgets=held[Hold.Kind.BUDGET],
        owed=owed,
    )


def ask(
    *,
    customer: Customer,
    amount: object,
    reason: str,
    now: datetime,
    asked_by: User | None = None,
    entered_by: User | None = None,
    reference: str = "",
    origin: RefundRequest.Origin = RefundRequest.Origin.CUSTOMER,
    locale: str = "",
    asked_from: str = "",
    in_transaction: Callable[[RefundRequest], None] | None = None,
) -> RefundRequest:
    """Open a request and freeze its amount; raises `RefundError` naming the field. `locale`: the customer's language
    unless given. `asked_from`: the IP address that it came from, for the mail about it.
    """
    asked = checked_amount(amount)
    if not reason.strip():
        raise RefundError(_("Say in a few words why."), field="reason")
    if len(reason) > 500:
        raise RefundError(_("At most 500 characters, please."), field="reason")
    if entered_by is not None:
        REFUNDS.must_not_be_own(entered_by, customer)
    with transaction.atomic():
        wallet = lock_wallets([customer.pk])[customer.pk]
        if entered_by is not None:
            REFUNDS.must_be_new(customer, reference)
        elif origin == RefundRequest.Origin.CUSTOMER:
            _must_not_be_often(customer, now=now)
        most = refundable_now(wallet)
        if asked > most:
            raise RefundError(_("At most $%(most)s can be refunded now.") % {"most": most})
        refund = RefundRequest.objects.create(
            customer=customer,
            number=new_number(),
            origin=origin,
            amount=asked,
            reason=reason.strip(),
            asked_by=asked_by,
            entered_by=entered_by,
            reference=reference.strip()[:200],
            locale=(locale or language_of(customer))[:10],
            created_at=now,
            changed_at=now,
            due_at=due_after(now, days=DAYS),
        )
        freeze(refund, asked, now=now)
        if in_transaction is not None:
            in_transaction(refund)
        if origin != RefundRequest.Origin.FRAUD_WARNING:  # that one the customer did not ask for
            tell(refund, Fact.REFUND_ASKED, now=now, asked_from=asked_from)
    return refund


def send_back(
    *, customer: Customer, amount: Decimal, reason: str, reference: str, locale: str, now: datetime
) -> RefundRequest | None:
    """Money that came too late and is credited goes back: approved and frozen at once, in the caller's transaction.

    What an overdrawn wallet took of it stays there; None if nothing is left.
    """
    with transaction.atomic():
        wallet = lock_wallets([customer.pk])[customer.pk]
        fits = min(amount, refundable_now(wallet))
        if fits <= 0:
            return None
        refund = RefundRequest.objects.create(
            customer=customer,
            number=new_number(),
            origin=RefundRequest.Origin.LATE_PAYMENT,
            state=State.APPROVED,
            amount=fits,
            approved=fits,
            reason=reason[:500],
            reference=reference[:200],
            locale=locale[:10],
            created_at=now,
            changed_at=now,
            decided_at=now,
            due_at=due_after(now, days=DAYS),
            attempt_at=now,
        )
        freeze(refund, fits, now=now)
        tell(refund, Fact.REFUND_LATE, now=now)
    return refund


def checked_amount(value: object) -> Decimal:
    """An amount of at least a cent with at most 2 decimals, USD; raises `RefundError`."""
    return REFUNDS.checked_amount(value, words=_("Enter an amount in USD with at most two decimals."))


def cancel(*, refund_id: int, now: datetime) -> RefundRequest:
    """The customer takes the request back, before it is approved; raises `NotMovable`."""
    with locked(refund_id) as refund:
        if refund.origin == RefundRequest.Origin.FRAUD_WARNING:
            raise NotMovable(_("Support decides about this refund."), field="state")
        move(refund, State.CANCELLED, now=now, finished_at=now)
        thaw(refund, now=now)
        tell(refund, Fact.REFUND_CANCELLED, now=now)
    return refund


def propose(*, refund_id: int, amount: object, by: User, now: datetime) -> RefundRequest:
    """Above support's limit, one proposes and another approves; raises `RefundError`."""
    checked = checked_amount(amount)
    with locked(refund_id) as refund:
        _must_be_at_desk(refund)
        REFUNDS.must_not_be_own(by, refund.customer)
        _must_be_possible(refund, checked)
        refund.proposed, refund.proposed_by, refund.changed_at = checked, by, now
        refund.save(update_fields=["proposed", "proposed_by", "changed_at"])
    return refund


def approve(*, refund_id: int, amount: object, by: User, now: datetime, words: str = "") -> RefundRequest:
    """Allow what is to be sent now, up to what is asked and not sent; raises `RefundError`.

    It moves state only; payments sends. What is not approved is free again.
    """
    checked = checked_amount(amount)
    with locked(refund_id) as refund:
        _must_be_at_desk(refund)
        REFUNDS.must_not_be_own(by, refund.customer)
        _must_be_possible(refund, checked)  # locks the wallet: this customer's requests are approved one after another
        _must_have_four_eyes(refund, checked, by, now=now)
        move(
            refund,
            State.APPROVED,
            now=now,
            approved=refund.sent + checked,
            decided_by=by,
            decided_at=now,
            decision=words.strip()[:1000],
            problem="",
            attempt_at=now,
        )
        freeze(refund, checked, now=now)
        tell(refund, Fact.REFUND_APPROVED, now=now)
    return refund


def deny(*, refund_id: int, words: str, by: User, now: datetime) -> RefundRequest:
    """Refuse, with a reason that the customer reads; of one that was sent in part, the rest. Raises `RefundError`."""
    if not words.strip():
        raise RefundError(_("Say why: the customer reads it."), field="words")
    with locked(refund_id) as refund:
        _must_be_at_desk(refund)
        REFUNDS.must_not_be_own(by, refund.customer)
        if refund.sent != refund.returned:
            raise RefundError(_("A part of it is still on its way."), field="state")
        move(
            refund,
            State.PARTLY_DONE if refund.sent > 0 else State.DENIED,
            now=now,
            decided_by=by,
            decided_at=now,
            decision=words.strip()[:1000],
            finished_at=now,
            problem="",
        )
        thaw(refund, now=now)
        tell(refund, Fact.REFUND_CLOSED if refund.sent > 0 else Fact.REFUND_DENIED, now=now)
    return refund


def ask_back(*, refund_id: int, question: str, by: User, now: datetime) -> RefundRequest:
    """Ask the customer something; the request stays at the desk. Raises `RefundError`."""
    if not question.strip():
        raise RefundError(_("Write the question."), field="words")
    with locked(refund_id) as refund:
        _must_be_at_desk(refund)
        REFUNDS.must_not_be_own(by, refund.customer)
        refund.question, refund.answer, refund.asked_back_at = question.strip()[:1000], "", now
        refund.changed_at = now
        refund.save(update_fields=["question", "answer", "asked_back_at", "changed_at"])
        tell(refund, Fact.REFUND_QUESTION, now=now)
    return refund


def answer(*, refund_id: int, text: str, now: datetime) -> RefundRequest:
    """The customer's answer to the desk's question; raises `RefundError`. The time until it was due goes on then."""
    if not text.strip():
        raise RefundError(_("Write an answer."), field="answer")
    with locked(refund_id) as refund:
        if not refund.question or refund.answer or refund.state not in RefundRequest.AT_DESK:
            raise NotMovable(_("Nothing is asked, or it is answered already."), field="answer")
        if refund.asked_back_at is not None:
            refund.due_at += now - refund.asked_back_at
        refund.answer, refund.changed_at = text.strip()[:1000], now
        refund.save(update_fields=["answer", "changed_at", "due_at"])
    return refund


def questions_to(customer: Customer) -> list[RefundRequest]:
    """A customer's requests that wait for an answer."""
    return list(RefundRequest.objects.filter(RefundRequest.NEEDS_ANSWER, customer=customer).order_by("pk")[:5])


def _must_be_at_desk(refund: RefundRequest) -> None:
    if refund.state not in RefundRequest.AT_DESK:
        raise REFUNDS.is_already(refund)


def _must_be_possible(refund: RefundRequest, amount: Decimal) -> None:
    lock_wallets([refund.customer_id])
    most = most_now(refund)
    if amount > most:
        raise RefundError(_("At most $%(most)s of this request can be refunded now.") % {"most": most})


def _must_not_be_often(customer: Customer, *, now: datetime) -> None:
    own = RefundRequest.objects.filter(customer=customer, origin=RefundRequest.Origin.CUSTOMER, entered_by__isnull=True)
    REFUNDS.must_not_be_often(own, open_states=RefundRequest.OPEN, now=now)


def counted_for_limit(refund: RefundRequest, *, now: datetime) -> Decimal:
    """What counts besides, USD: what was sent of it, and what staff approved for its customer within a day.

    A large sum cut into small requests is as large.
    """
    others = RefundRequest.objects.filter(
        customer_id=refund.customer_id, decided_by__isnull=False, decided_at__gt=now - timedelta(days=1)
    ).exclude(pk=refund.pk)
    return refund.sent + (others.aggregate(sum=Sum("approved"))["sum"] or ZERO)


def may_approve(refund: RefundRequest, amount: Decimal, *, by: User, now: datetime) -> bool:
    """Whether this person may approve as much alone, or after another's proposal."""
    try:
        _must_have_four_eyes(refund, amount, by, now=now)
    except NotAllowed:
        return False
    return True


def _must_have_four_eyes(refund: RefundRequest, amount: Decimal, by: User, *, now: datetime) -> None:
    if amount + counted_for_limit(refund, now=now) <= settings.REFUND_SUPPORT_LIMIT:
        return
    if not by.has_perm("billing.approve_large_refunds"):
        raise NotAllowed(
            _("Above $%(limit)s finance approves, all of a customer's within a day together. Propose it instead.")
            % {"limit": settings.REFUND_SUPPORT_LIMIT}
        )
    if refund.proposed is None or refund.proposed < amount:
        words = _("Above $%(limit)s one proposes and another approves, all of a customer's within a day together.")
        raise NotAllowed(words % {"limit": settings.REFUND_SUPPORT_LIMIT} + " " + _("Propose it first."))
    if words := objection(by=by, customer_id=None, proposed_by_id=refund.proposed_by_id):
        raise NotAllowed(words, field="state")
