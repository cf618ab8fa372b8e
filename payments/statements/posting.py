"""What a statement's line moves by itself: a fee, a payout, what it settles in another currency than was charged; and,
where finance says that an account is shared, what another shop's payment moved there. Keyed by line, so that a day may
be done again.
"""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from billing.books import chart
from billing.books.kinds import Kind
from billing.books.ledger import LedgerError, Posting, house_account, post
from billing.discrepancies.queue import Difference
from billing.models import LedgerAccount, Transfer
from billing.months.periods import day_of
from payments.models import Discrepancy, StatementLine
from payments.statements.matching import converted


def post_line(line: StatementLine, *, now: datetime, is_strangers: bool = False) -> tuple[int, Difference | None]:
    """Post a line's transfers, once; how many it has, and what is wrong if the books refuse them, as when they were
    posted otherwise before.
    """
    try:
        with transaction.atomic():
            postings = _strangers(line) if is_strangers else [*_own(line), *_settled(line), *_taken_back(line)]
            post(postings, now=now, group=_key(line), about=day_of(line.at))
    except LedgerError as error:
        key = f"{line.key}:posted"
        return 0, Difference(Discrepancy.Kind.AMOUNT_DIFFERS, key, line.currency, line.fee, detail=str(error))
    return len(postings), None


def _own(line: StatementLine) -> list[Posting]:
    """The fee, and a payout; a dispute's fee was posted with the dispute."""
    fees, bank = house_account(chart.fees(line.currency)), house_account(chart.bank(line.currency))
    if line.kind == "fee":
        return _between(line, "fee", Kind.FEE, fees, -line.amount)
    found = _between(line, "payout", Kind.PAYOUT, bank, -line.amount) if line.kind == "payout" else []
    return found + (_between(line, "fee", Kind.FEE, fees, line.fee) if line.kind != "dispute" else [])


def _settled(line: StatementLine) -> list[Posting]:
    """Where the account settles in another currency than was charged: what a row settles leaves the one account and
    comes to the other, each by way of its exchange account. What is given back goes the other way at that day's rate,
    so the two do not cancel: the rest is the result of the exchange.
    """
    ours = converted(line)
    if ours is None:
        return []
    charged, currency = ours
    return [
        *_between(line, "charged", Kind.SETTLEMENT, house_account(chart.fx(currency)), charged, currency=currency),
        *_between(line, "settled", Kind.SETTLEMENT, house_account(chart.fx(line.currency)), -line.amount),
    ]


def _strangers(line: StatementLine) -> list[Posting]:
    """What another shop's payment brought or took, its fee included: it stands apart from what is ours."""
    others = house_account(chart.others(line.provider, line.currency))
    return _between(line, "others", Kind.OTHERS, others, line.fee - line.amount)


def _taken_back(line: StatementLine) -> list[Posting]:
    """A line that was booked as another shop's and turned out to be ours."""
    if not Transfer.objects.filter(key=f"{_key(line)}:others").exists():
        return []
    others = house_account(chart.others(line.provider, line.currency))
    return _between(line, "others_back", Kind.OTHERS, others, line.amount - line.fee)


def _between(
    line: StatementLine, name: str, kind: Kind, other: LedgerAccount, amount: Decimal, *, currency: str = ""
) -> list[Posting]:
    """`amount` from the provider's account (in the line's currency unless named) to `other`, below zero back."""
    clearing = house_account(chart.clearing(line.provider, currency or line.currency))
    debit, credit = (other, clearing) if amount > 0 else (clearing, other)
    return [Posting(f"{_key(line)}:{name}", kind, debit, credit, abs(amount), line.key)] if amount else []


def _key(line: StatementLine) -> str:
    return f"statement:{line.provider}:{line.key}"
