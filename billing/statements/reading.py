"""A customer's statements as they are read: closed ones as they were kept, the months since then as they stand."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from accounts.models import Customer
from billing.audit.run import snapshot
from billing.books.money import ZERO
from billing.invoices.papers.kept import paper
from billing.models import MonthStatement, Paper, Wallet
from billing.months.journal import csv_line
from billing.statements.corrections import MOST_READ
from billing.statements.figures import Span, body, figures, following, head, next_span
from billing.statements.lines import LINES
from billing.statements.usage import By, called, completed, used_in

MONTH = re.compile(r"[12][0-9]{3}-(0[1-9]|1[0-2])")
MOST_OPEN = 240
"""Months that are looked at for one: nobody waits for 20 years."""


def is_month(text: str) -> bool:
    """Whether a text is a month such as 2026-11."""
    return MONTH.fullmatch(text) is not None


def first_day(month: str) -> date:
    """Of a month such as 2026-11."""
    return date(int(month[:4]), int(month[5:]), 1)


def one(customer: Customer, month: str, *, now: datetime) -> dict[str, Any] | None:
    """The statement of a month such as 2026-11; None for one before the account's first or after this."""
    kept = MonthStatement.objects.filter(customer=customer, month=first_day(month)).first()
    if kept is not None:
        return shown(kept)
    with snapshot(seconds=None):  # what is charged meanwhile is in both, the usage and its lists, or in neither
        for span in _open(customer, _closed(customer).first(), now=now):
            if f"{span.month:%Y-%m}" == month:
                found = figures(span, customer_id=customer.pk, most_corrections=MOST_READ)
                return worded(body(span, found, used_in(span.month, customer_id=customer.pk), state="open"))
    return None


def all_of(customer: Customer, *, now: datetime) -> list[dict[str, Any]]:
    """All statements without what moved in them, the newest first.

    The month that goes on ends with the wallet and begins with what the one before ended with, so of no request is
    there a sum; one that is over and not closed yet, within the hour or as it does not add up, is summed.
    """
    with snapshot(seconds=None):
        closed = list(_closed(customer))
        waiting, opening = [], closed[0].closing if closed else ZERO  # an account begins with nothing
        for span in _open(customer, closed[0] if closed else None, now=now):
            closing = _closing(span, customer_id=customer.pk, now=now)
            waiting.append(head(span, opening=opening, closing=closing, state="open"))
            opening = closing
    kept = [head(row, opening=row.opening, closing=row.closing, state="closed") for row in closed]
    return [*reversed(waiting), *kept]


def _closing(span: Span, *, customer_id: int, now: datetime) -> Decimal:
    if span.closes_at <= now:
        return figures(span, customer_id=customer_id, most_corrections=0).closing
    wallet = Wallet.objects.filter(customer=customer_id).first()
    return wallet.balance if wallet is not None else ZERO


def _closed(customer: Customer) -> QuerySet[MonthStatement]:
    """The newest first, without what they say."""
    return MonthStatement.objects.filter(customer=customer).defer("body").order_by("-month")


def worded(said: dict[str, Any]) -> dict[str, Any]:
    """With what each line is called, in the language that is active, and all its lists."""
    lines = [{"months": [], **line, "description": str(LINES[line["kind"]])} for line in said["lines"]]
    return {**said, "lines": lines, "usage": completed(said["usage"])}


def shown(statement: MonthStatement) -> dict[str, Any]:
    """As programs see it."""
    return worded(statement.body)


def as_csv(said: dict[str, Any]) -> str:
    """The lines between opening and closing balance, and after them the lists of what was charged."""
    fees = ["; ".join(f"{fee['amount']} {fee['currency']}" for fee in line["fees"]) for line in said["lines"]]
    months = ["; ".join(f"{one['month']} {one['amount']}" for one in line["months"]) for line in said["lines"]]
    rows: list[list[object]] = [
        ["kind", "description", "count", "amount", "fees", "months"],
        ["opening", said["opens_at"], "", Decimal(said["opening"]), "", ""],
        *(
            [line["kind"], line["description"], line["count"], Decimal(line["amount"]), fee, about]
            for line, fee, about in zip(said["lines"], fees, months, strict=True)
        ),
        ["closing", said["closes_at"], "", Decimal(said["closing"]), "", ""],
        *(
            [f"usage_{by}", called(row), row["requests"], Decimal(row["charged"]), "", ""]
            for by in By
            for row in said["usage"][by.value]
        ),
    ]
    return "".join(csv_line(row) for row in rows)


def _open(customer: Customer, last: MonthStatement | None, *, now: datetime) -> Iterator[Span]:
    span = next_span(customer, last)
    for _number in range(MOST_OPEN):
        if span.opens_at > now:
            return
        yield span
        span = following(span, customer)


def pdf(customer: Customer, month: str, *, locale: str, now: datetime) -> Paper | None:
    """A closed month as a PDF, kept as it was first drawn in a language; None for a month that is not closed."""
    statement = MonthStatement.objects.filter(customer=customer, month=first_day(month)).first()
    if statement is None:
        return None
    facts = {"statement": statement.body, "sha256": statement.sha256, "name": customer.name}
    return paper(
        Paper.Kind.STATEMENT,
        customer_id=customer.pk,
        number=month,
        locale=locale,
        facts=lambda _language: facts,
        now=now,
    )
