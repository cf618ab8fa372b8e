"""Journal entries by hand: between two accounts of the house, in one currency, with a paper, by two of finance.

What no rule posts goes this way: a reserve that a provider holds back, its adjustments, a payout that no statement
tells of, the result of exchange. Customers' balances do not: those are adjustments.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from billing.books.chart import BY_HAND_IN_EACH_CURRENCY, of_providers, reserve
from billing.books.kinds import Kind
from billing.books.ledger import Posting, house_account, post
from billing.books.money import InvalidAmount, exact
from billing.models import JournalEntry, LedgerAccount, Transfer
from billing.months.periods import day_of
from billing.requests.four_eyes import objection
from billing.requests.proposals import ProposalError, decide, given, undecided
from billing.signals import entry_posted, entry_refused

FINANCE = "billing.post_entries"
FIRST_DAY = date(2000, 1, 1)
"""What is about an earlier day is a slip of the pen."""
State = JournalEntry.State


class EntryError(ProposalError):
    """An entry that cannot be proposed or posted like this; the text is for whoever asked."""


_offered: dict[str, Callable[[], Iterable[str]]] = {}


def offer(whose: str, names: Callable[[], Iterable[str]]) -> None:
    """Let an app name accounts of its own that an entry may be the first to use."""
    _offered[whose] = names


def chart() -> list[str]:
    """Names of the house's accounts, and of those that an entry may be the first to use."""
    there = dict(LedgerAccount.objects.filter(kind=LedgerAccount.Kind.SYSTEM).values_list("name", "currency"))
    offered = {name for names in _offered.values() for name in names()}
    currencies = {"USD", *there.values(), *(name.rpartition(":")[2] for name in offered)}
    names = offered | {name + currency for name in BY_HAND_IN_EACH_CURRENCY for currency in currencies}
    names |= {reserve(*whose) for name in there if (whose := of_providers(name)) is not None}
    return sorted(names | there.keys())


def propose(
    *,
    debit: str,
    credit: str,
    amount: Decimal | str,
    about: date,
    reference: str,
    reason: str,
    by: User,
    now: datetime,
) -> JournalEntry:
    """Propose to move `amount`, in the currency of both accounts, named as in `chart`. Raises `EntryError`."""
    _must_be_allowed(by)
    names = chart()
    for field, name in (("debit", debit), ("credit", credit)):
        if name not in names:
            raise EntryError(_("Choose an account of the house."), field=field)
    if debit == credit:
        raise EntryError(_("Choose two accounts."), field="credit")
    if not FIRST_DAY <= about <= day_of(now):
        raise EntryError(_("Name a day up to today."), field="about")
    reference = given(reference, field="reference", error=EntryError, most=120)
    reason = given(reason, field="reason", error=EntryError)
    accounts = house_account(debit), house_account(credit)
    currencies = [account.currency for account in accounts]
    if currencies[0] != currencies[1]:
        words = _("One is in %(debit)s, the other in %(credit)s: choose two accounts of one currency.")
        raise EntryError(words % {"debit": currencies[0], "credit": currencies[1]}, field="credit")
    return JournalEntry.objects.create(
        debit=accounts[0],
        credit=accounts[1],
        currency=currencies[0],
        amount=_amount(amount, currency=currencies[0]),
        about=about,
        reference=reference,
        reason=reason,
        proposed_by=by,
        proposed_at=now,
    )


def approve(*, entry_id: int, by: User, now: datetime) -> Transfer:
    """Post what another proposed, and close what it resolves, in one transaction. Raises `EntryError`.

    It is booked on the day it is about, or on the first open day if that one's month is locked.
    """
    with undecided(JournalEntry, entry_id, error=EntryError) as entry:
        _must_be_allowed(by, proposed_by_id=entry.proposed_by_id)
        memo = f"{entry.reference}: {entry.reason}"[:280]
        posting = Posting(entry.key, Kind.ENTRY, entry.debit, entry.credit, entry.amount, memo)
        posted = post([posting], now=now, group=entry.key, actor_id=by.pk, about=entry.about)
        decide(entry, State.POSTED, by=by, now=now)
        entry_posted.send(sender=JournalEntry, entry=entry, by=by, now=now)
    return posted[entry.key]


def refuse(*, entry_id: int, why: str, by: User, now: datetime) -> JournalEntry:
    """Close a proposal without posting it; whoever proposed it may take it back so. Raises `EntryError`."""
    why = given(why, field="why", error=EntryError)
    with undecided(JournalEntry, entry_id, error=EntryError) as entry:
        _must_be_allowed(by)
        decide(entry, State.REFUSED, by=by, now=now, why=why)
        entry_refused.send(sender=JournalEntry, entry=entry)
    return entry


def same_reference(entry: JournalEntry) -> QuerySet[JournalEntry]:
    """Others that rest on the same paper and were not refused: it may be booked twice."""
    others = JournalEntry.objects.filter(reference=entry.reference).exclude(pk=entry.pk)
    return others.exclude(state=State.REFUSED).order_by("pk")


def _must_be_allowed(by: User, *, proposed_by_id: int | None = None) -> None:
    if not by.has_perm(FINANCE):
        raise EntryError(_("Journal entries are for finance."), field="state")
    if words := objection(by=by, customer_id=None, proposed_by_id=proposed_by_id):
        raise EntryError(words, field="state")


def _amount(text: Decimal | str, *, currency: str) -> Decimal:
    try:
        value = exact(text, currency=currency)
    except InvalidAmount:
        raise EntryError(_("Write an amount in %(currency)s.") % {"currency": currency}) from None
    if value <= 0:
        raise EntryError(_("Write an amount above zero."))
    return value
