"""The read side of the books: a customer's transfers in plain words, and what is held and why."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from accounts.models import Customer
from billing.books.kinds import Kind
from billing.models import Hold, Transfer, Wallet


class Side(StrEnum):
    """Which transfers of a customer: what came in, what went out, or both."""

    ALL = "all"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer as its customer sees it: `amount` in USD is signed, `balance` is `paid` or `bonus`."""

    id: int
    kind: str
    key: str
    amount: Decimal
    balance: str
    description: str
    created_at: datetime
    page: str
    """The page with more about it, or ""."""


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list, newest first, and whether there is more on either side."""

    entries: list[Entry]
    has_newer: bool
    has_older: bool


@dataclass(frozen=True, slots=True)
class HeldPart:
    """What is held for one reason: a sum in USD, and for how many."""

    kind: str
    count: int
    amount: Decimal


def page_of(
    *, customer: Customer, before: int | None = None, after: int | None = None, side: Side = Side.ALL, limit: int = 50
) -> Page:
    """Up to `limit` of a customer's transfers: older than the id `before`, or newer than `after`, or the newest."""
    forward = after is not None
    rows = _rows(customer=customer, before=before, after=after, side=side, limit=limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    if forward:
        rows.reverse()
    entries = [_entry(transfer, account_kinds=_account_kinds(customer)) for transfer in rows]
    return Page(
        entries=entries,
        has_newer=more if forward else before is not None,
        has_older=True if forward else more,
    )


def _account_kinds(customer: Customer) -> dict[int, str]:
    wallet = Wallet.objects.get(customer=customer)
    return {wallet.paid_account_id: "paid", wallet.bonus_account_id: "bonus"}


def _rows(*, customer: Customer, before: int | None, after: int | None, side: Side, limit: int) -> list[Transfer]:
    # One index-ordered read for each account and side, merged here: an OR over them would sort a customer's whole past.
    ends = {Side.ALL: ("debit", "credit"), Side.IN: ("credit",), Side.OUT: ("debit",)}[side]
    found: dict[int, Transfer] = {}
    for account_id in _account_kinds(customer):
        for end in ends:
            rows = Transfer.objects.filter(**{f"{end}_id": account_id})
            if before is not None:
                rows = rows.filter(pk__lt=before)
            if after is not None:
                rows = rows.filter(pk__gt=after)
            found |= {row.pk: row for row in rows.order_by("pk" if after is not None else "-pk")[:limit]}
    return [found[pk] for pk in sorted(found, reverse=after is None)[:limit]]


def _entry(transfer: Transfer, *, account_kinds: dict[int, str]) -> Entry:
    incoming = transfer.credit_id in account_kinds
    words, page = _in_words(transfer)
    return Entry(
        id=transfer.pk,
        kind=transfer.kind,
        key=transfer.key,
        amount=transfer.amount if incoming else -transfer.amount,
        balance=account_kinds[transfer.credit_id if incoming else transfer.debit_id],
        description=words,
        created_at=transfer.created_at,
        page=page,
    )


def _in_words(transfer: Transfer) -> tuple[str, str]:
    """What a transfer was for, and the page about it; the business key says (docs/ledger.md, "Keys")."""
    subject, _colon, _rest = transfer.key.partition(":")
    if subject.startswith("gen-"):
        if transfer.kind == Kind.REVERSAL:
            return _("Request %(id)s: the charge was given back") % {"id": subject}, f"/console/usage/{subject}"
        return _("Request %(id)s") % {"id": subject}, f"/console/usage/{subject}"
    if subject == "rerate":
        request = transfer.key.split(":")[2]
        words = _("Request %(id)s: charged anew at a corrected price")
        return words % {"id": request}, f"/console/usage/{request}"
    if subject == "topup":
        # The note names the order, as the customer knows it.
        return _("Top-up %(number)s") % {"number": transfer.memo}, f"/console/topup/{transfer.memo}"
    if transfer.kind == Kind.BONUS_EXPIRED:
        return _("Bonus that was not spent by its end"), ""
    if subject == "welcome":
        return _("Welcome credit"), ""
    if subject == "refund":
        # As with a top-up, the note is what the customer knows it by.
        words = _("Refund %(number)s did not arrive") if transfer.kind == Kind.REFUND_FAILED else _("Refund %(number)s")
        return words % {"number": transfer.memo}, f"/console/refunds/{transfer.memo}"
    if subject == "dispute":
        dispute_words: dict[str, str] = {
            Kind.DISPUTE: _("Disputed: top-up %(number)s was taken back"),
            Kind.DISPUTE_REINSTATED: _("Dispute of top-up %(number)s won"),
            Kind.WRITE_OFF: _("Dispute of top-up %(number)s: the balance below zero is waived"),
        }
        words = dispute_words.get(transfer.kind, _("Dispute of top-up %(number)s"))
        return words % {"number": transfer.memo}, f"/console/topup/{transfer.memo}"
    if subject == "adjustment" and transfer.kind == Kind.WRITE_OFF:
        return _("A small balance below zero is waived"), ""
    if subject == "adjustment":
        return _("Adjustment: %(words)s") % {"words": transfer.memo} if transfer.memo else _("Adjustment"), ""
    if subject == "code":
        return _("Code: %(words)s") % {"words": transfer.memo}, ""
    if transfer.kind == Kind.GRANT:
        return _("Bonus: %(reason)s") % {"reason": transfer.memo}, ""
    return transfer.memo or transfer.kind, ""


def held_parts(customer: Customer) -> list[HeldPart]:
    """What is held on a customer's wallet, by reason; a hold captured in parts counts what is left of it."""
    rows = (
        Hold.objects.filter(customer=customer, state=Hold.State.OPEN)
        .values("kind")
        .annotate(count=Count("pk"), amount=Sum("amount"), captured=Sum("captured"))
        .order_by("kind")
    )
    return [HeldPart(kind=row["kind"], count=row["count"], amount=row["amount"] - row["captured"]) for row in rows]
