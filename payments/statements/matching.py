"""A statement's lines beside what was booked here: whose each is, and what does not fit.

Rules alone: nothing is asked, and nothing is written.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q, Sum

from billing.books import chart
from billing.books.money import ZERO
from billing.discrepancies.queue import Difference
from payments.models import Discrepancy, Dispute, DisputeMovement, RefundPart, StatementLine, TopUp
from payments.providers.base import REFUND_KEY_PREFIX
from payments.statements import fetching

Kind = Discrepancy.Kind
NAMING = ("payment", "refund", "refund_failure", "dispute")
"""Kinds of lines that name something which the provider can be asked about."""
ENDED = (TopUp.State.EXPIRED, TopUp.State.FAILED)
OUR_NUMBERS = ("topup_", REFUND_KEY_PREFIX)


def account_of(row: Discrepancy) -> str:
    """Our account at the provider, which a discrepancy with its statement stands on."""
    return chart.clearing(row.provider, row.currency) if row.currency else ""


def booked(line: StatementLine) -> tuple[Decimal, str] | None:
    """What we booked for a line that names something of ours, signed as it is; None if we booked nothing."""
    if line.kind == "payment":
        topup = fetching.paid_topup_of(line)
        return (topup.charge_amount, topup.charge_currency) if topup is not None else None
    if line.kind == "dispute":
        movement = DisputeMovement.objects.filter(dispute__provider=line.provider, provider_id=line.key).first()
        return (movement.amount, movement.currency) if movement is not None else None
    part = fetching.part_of(line)
    if part is None or part.charge_amount is None:
        return None
    if line.kind == "refund_failure":
        has_failed = part.state == RefundPart.State.FAILED or part.round > 1
        return (part.charge_amount, part.charge_currency) if has_failed else None
    return (-part.charge_amount, part.charge_currency) if _is_paid_there(part, line) else None


def differences(line: StatementLine) -> Iterator[Difference]:
    """What does not fit between a line and the books."""
    if line.kind == "other":
        yield Difference(
            Kind.UNEXPECTED, line.key, line.currency, line.amount, detail=line.detail or line.transaction_id
        )
    if line.kind in NAMING:
        yield from _unlike(line, booked(line))


def fits(line: StatementLine) -> bool:
    """Whether what a line names is booked here, as it says: there is nothing to ask the provider about."""
    ours = booked(line)
    return ours is not None and not any(_unlike(line, ours))


def _unlike(line: StatementLine, ours: tuple[Decimal, str] | None) -> Iterator[Difference]:
    detail = f"{line.kind} {line.number} {line.refund_id or line.transaction_id}"
    amount, currency = line.amount, line.currency
    if ours is not None and line.charge_amount is not None and ours[1] == line.charge_currency:
        amount, currency = line.charge_amount, line.charge_currency
    if ours is None and not _came_back_unbooked(line) and not _went_back_uncredited(line):
        yield Difference(Kind.MISSING_HERE, line.key, currency, amount, detail=f"{detail}{_why_not_booked(line)}")
    elif ours is not None and ours != (amount, currency):
        words = f"{detail}, ours in {ours[1]}" if ours[1] != currency else detail
        yield Difference(Kind.AMOUNT_DIFFERS, line.key, currency, amount, ours[0], words)


def converted(line: StatementLine) -> tuple[Decimal, str] | None:
    """What was booked for a line in the currency of the charge, signed, where the account settles in another.

    A refund that came back unbooked moved nothing there, and at two rates something here.
    """
    if line.charge_amount is not None and _came_back_unbooked(line):
        return line.charge_amount, line.charge_currency
    if line.kind == "dispute":
        movement = DisputeMovement.objects.filter(dispute__provider=line.provider, provider_id=line.key).first()
        ours = (movement.booked, movement.dispute.currency) if movement is not None else None
    else:
        ours = booked(line) if line.kind in NAMING else None
    return ours if ours is not None and ours[1] != line.currency else None


def is_stranger(line: StatementLine) -> bool:
    """Whether a line is about another shop's payment on the same account: nothing of ours bears any of its numbers."""
    if line.kind not in NAMING or line.number.startswith(OUR_NUMBERS) or booked(line) is not None:
        return False
    if line.kind == "dispute" and Dispute.objects.filter(provider_id=line.refund_id, topup__isnull=False).exists():
        return False
    return fetching.paid_topup_of(line) is None and fetching.part_of(line) is None


def missing_there(provider: str, start: datetime) -> Iterator[Difference]:
    """What we booked within the day from `start` on and no statement so far tells."""
    end = start + timedelta(days=1)
    lines = StatementLine.objects.filter(provider=provider)
    paid = TopUp.objects.filter(method=provider, state=TopUp.State.PAID, paid_at__gte=start, paid_at__lt=end)
    told = set(
        lines.filter(kind="payment", transaction_id__in=paid.values("transaction_id")).values_list(
            "transaction_id", flat=True
        )
    )
    for topup in paid.order_by("pk"):
        if topup.transaction_id not in told:
            yield Difference(
                Kind.MISSING_THERE,
                topup.number,
                topup.charge_currency,
                ours=topup.charge_amount,
                detail=topup.transaction_id,
            )
    done = RefundPart.objects.filter(topup__method=provider, state=RefundPart.State.DONE)
    parts = done.filter(done_at__gte=start, done_at__lt=end).exclude(charge_amount=0)
    parts = parts.filter(Q(confirmed_by__isnull=True) | Q(paid_there=True))
    for part in parts.select_related("topup").order_by("pk"):
        names = Q(number=part.key)
        if part.provider_id:
            names |= Q(refund_id=part.provider_id)
        if part.topup is not None and provider in fetching.NUMBERED_BY_PAYMENT:
            names &= Q(transaction_id=part.topup.transaction_id)
        if not lines.filter(names).exists():
            amount = -(part.charge_amount or ZERO)
            yield Difference(Kind.MISSING_THERE, part.key, part.charge_currency, ours=amount, detail=part.provider_id)


def _why_not_booked(line: StatementLine) -> str:
    """A provider may take a refund's money before the refund is through: the part that it waits for is known here."""
    part = fetching.part_of(line) if line.kind == "refund" else None
    if part is None or part.state not in (RefundPart.State.SENDING, RefundPart.State.PARKED):
        return ""
    return f": part {part} " + ("is on its way" if part.state == RefundPart.State.SENDING else "waits for staff")


def _came_back_unbooked(line: StatementLine) -> bool:
    """Whether a refund that its provider began went out and came back before it was booked here: nothing is missing."""
    if not line.refund_id or line.kind not in ("refund", "refund_failure") or fetching.part_of(line) is not None:
        return False
    lines = StatementLine.objects.filter(provider=line.provider, refund_id=line.refund_id, currency=line.currency)
    amounts = dict(
        lines.filter(kind__in=("refund", "refund_failure")).values_list("kind").annotate(Sum(_as_charged(line)))
    )
    return len(amounts) == 2 and not sum(amounts.values(), ZERO)


def _went_back_uncredited(line: StatementLine) -> bool:
    """Whether an order of ours was paid and wholly paid back there before it was credited: nothing is missing.

    A provider may tell such an order like one that was never paid.
    """
    if line.kind not in ("payment", "refund", "refund_failure") or not line.transaction_id:
        return False
    lines = StatementLine.objects.filter(
        provider=line.provider,
        transaction_id=line.transaction_id,
        currency=line.currency,
        kind__in=("payment", "refund", "refund_failure"),
    )
    numbers = lines.filter(kind="payment").values("number")
    ended = TopUp.objects.filter(method=line.provider, number__in=numbers, state__in=ENDED)
    return ended.exists() and not lines.aggregate(sum=Sum("amount"))["sum"]


def _is_paid_there(part: RefundPart, line: StatementLine) -> bool:
    """Whether a refund's line is as we booked it: paid by its provider, or failed, and its own failure's line says so.

    What two of finance paid by bank should not be in a provider's statement.
    """
    if part.is_paid_by_bank:
        return False
    if part.state == RefundPart.State.FAILED:
        names = Q(number=part.key) | (Q(refund_id=line.refund_id) if line.refund_id else Q())
        if line.provider in fetching.NUMBERED_BY_PAYMENT:
            names &= Q(transaction_id=line.transaction_id)
        lines = StatementLine.objects.filter(names, provider=line.provider, currency=line.currency)
        so_far = Q(at__lt=line.at) | Q(at=line.at, pk__lte=line.pk)
        name = _as_charged(line)
        amount = getattr(line, name)
        paid = lines.filter(so_far, kind="refund", **{name: amount}).count()
        return lines.filter(kind="refund_failure", **{name: -amount}).count() >= paid
    return part.state == RefundPart.State.DONE


def _as_charged(line: StatementLine) -> str:
    """The field by which a refund and its failure are compared: as settled, each has the rate of its own day."""
    return "amount" if line.charge_amount is None else "charge_amount"
