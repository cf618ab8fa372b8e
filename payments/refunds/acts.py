"""What finance does with a part that waits for staff."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from billing import refunds
from billing.books import chart
from billing.books.money import ZERO
from billing.requests.four_eyes import objection
from payments.models import RefundPart
from payments.providers.base import RefundOutcome
from payments.refunds.booking import (
    PartError,
    clearing_of,
    conclude,
    locked,
    park,
    set_done,
    set_failed,
    tell_what_is_left,
)
from payments.refunds.looking import look

State = RefundPart.State


def park_part(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """Finance waits no longer for a part on its way: staff settle it. Raises `PartError`."""
    with transaction.atomic():
        part = locked(part_id)
        _must_not_be_own(part, by)
        if part.state != State.SENDING:
            raise PartError(_("This part is not on its way."))
        park(part, f"parked by {by}: {part.detail}", now=now)
    conclude(part.refund_id, now=now)
    return part


def record_transfer(*, part_id: int, reference: str, by: User, now: datetime, paid_there: bool = False) -> RefundPart:
    """A parked part was paid: the first of finance records it, a second confirms it. Raises `PartError`.

    By our bank, or with `paid_there` by the provider, which does not tell; `reference` is where that is seen.
    """
    reference = reference.strip()[:120]
    if not reference:
        raise PartError(_("Enter the reference of what was paid."))
    with transaction.atomic():
        part = locked(part_id)
        _must_not_be_own(part, by)
        if part.state != State.PARKED:
            raise PartError(_("This part does not wait for staff."))
        if paid_there and not part.has_provider:
            raise PartError(_("No provider pays this part."))
        if part.recorded_by_id is None or (part.bank_reference, part.paid_there) != (reference, paid_there):
            part.bank_reference, part.paid_there, part.recorded_by = reference, paid_there, by
            part.save(update_fields=["bank_reference", "paid_there", "recorded_by"])
            return part
        if part.recorded_by_id == by.pk:
            raise PartError(_("You recorded it: somebody else confirms it."))
        part.confirmed_by = by
        part.save(update_fields=["confirmed_by"])
        set_done(part, clearing=clearing_of(part) if paid_there else chart.bank(part.charge_currency), now=now)
    conclude(part.refund_id, now=now)
    return part


def withdraw_transfer(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """What was recorded was not paid: the part waits as before. Raises `PartError`."""
    with transaction.atomic():
        part = locked(part_id)
        _must_not_be_own(part, by)
        if part.state != State.PARKED or part.recorded_by_id is None:
            raise PartError(_("No record of this part waits for somebody to confirm it."))
        part.bank_reference, part.paid_there, part.recorded_by = "", False, None
        part.save(update_fields=["bank_reference", "paid_there", "recorded_by"])
    return part


def give_back(*, part_id: int, by: User, now: datetime, closed_there: bool = False) -> RefundPart:
    """A parked part will not be sent: the money is the customer's again. Only when the provider has not paid it.

    `closed_there`: whoever acts has closed it in the provider's console, and answers for it where the provider does
    not say so itself. Raises `PartError`.
    """
    part = RefundPart.objects.select_related("refund").get(pk=part_id)
    _must_not_be_own(part, by)
    if part.state != State.PARKED:
        raise PartError(_("This part does not wait for staff."))
    outcome = look(part_id=part_id, now=now)
    if outcome in (RefundOutcome.PENDING, RefundOutcome.UNKNOWN) and not closed_there:
        raise PartError(_("The provider may still pay it. Look again later, or close it there first."))
    with transaction.atomic():
        part = locked(part_id)
        if part.recorded_by_id is not None:
            raise PartError(_("It is recorded as paid: confirm that, or take the record back first."))
        if part.state == State.PARKED:
            part.detail = f"given back by {by}: {part.detail}"[:300]
            part.save(update_fields=["detail"])
            set_failed(part, now=now)
        elif part.state != State.FAILED:
            raise PartError(_("This part does not wait for staff."))
    conclude(part.refund_id, now=now)
    tell_what_is_left(part.refund_id, now=now)
    return part


def look_at_contradiction(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """Somebody has looked at what the provider says against the books. Raises `PartError`."""
    with transaction.atomic():
        part = locked(part_id)
        _must_not_be_own(part, by)
        if part.contradicted_at is None or part.seen_by_id is not None:
            raise PartError(_("There is nothing to look at."))
        part.seen_by = by
        part.save(update_fields=["seen_by"])
    return part


def collect(*, part_id: int, by: User, now: datetime) -> Decimal:
    """Take what the customer owes of a part that was paid after all from the wallet now, as far as it is free.

    Returns what was taken, USD. Raises `PartError`.
    """
    with transaction.atomic():
        part = _owed(part_id, by)
        taken = refunds.collect_excess(refund_id=part.refund_id, part=part.label, excess=part.excess, now=now)
        if taken <= 0:
            raise PartError(_("Nothing of the customer's balance is free."))
        part.excess -= taken
        part.save(update_fields=["excess"])
    return taken


def bear(*, part_id: int, by: User, now: datetime) -> RefundPart:
    """Give up what the customer owes of a part: one of finance proposes it, another confirms. Raises `PartError`."""
    with transaction.atomic():
        part = _owed(part_id, by)
        if part.bear_by_id is None:
            part.bear_by = by
            part.save(update_fields=["bear_by"])
            return part
        if words := objection(by=by, customer_id=None, proposed_by_id=part.bear_by_id):
            raise PartError(words)
        refunds.bear_excess(refund_id=part.refund_id, part=part.label, excess=part.excess, now=now)
        part.excess, part.bear_by = ZERO, None
        part.save(update_fields=["excess", "bear_by"])
    return part


def _owed(part_id: int, by: User) -> RefundPart:
    part = locked(part_id)
    _must_not_be_own(part, by)
    if part.excess <= 0:
        raise PartError(_("The customer owes nothing of this part."))
    return part


def _must_not_be_own(part: RefundPart, by: User) -> None:
    if words := objection(by=by, customer_id=part.refund.customer_id):
        raise PartError(words)
