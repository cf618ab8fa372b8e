"""A customer's statements as they are read: closed ones as they were kept, the months since then as they stand."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from accounts.models import Customer
from billing.invoices.papers.kept import paper
from billing.models import MonthStatement, Paper
from billing.months.journal import csv_line
from billing.statements.corrections import MOST_READ
from billing.statements.figures import Span, body, figures, following, next_span
from billing.statements.lines import LINES

MONTH = re.compile(r"[12][0-9]{3}-(0[1-9]|1[0-2])")
MOST_OPEN = 240
"""Months that are looked at for one: nobody waits for 20 years."""


def is_month(text: str) -> bool:
    """Whether a text is a month such as 2026-11."""
    return MONTH.fullmatch(text) is not None


def one(customer: Customer, month: str, *, now: datetime) -> dict[str, Any] | None:
    """The statement of a month such as 2026-11; None for one before the account's first or after this."""
    last = None
    for statement in MonthStatement.objects.filter(customer=customer).order_by("-month"):
        last = last or statement
        if f"{statement.month:%Y-%m}" == month:
            return worded(statement.body)
    for span in _open(customer, last, now=now):
        if f"{span.month:%Y-%m}" == month:
            return worded(body(span, figures(span, customer_id=customer.pk, most_corrections=MOST_READ), state="open"))
    return None


def all_of(customer: Customer, *, now: datetime) -> list[dict[str, Any]]:
    """All statements without their lines, the newest first."""
    closed = list(MonthStatement.objects.filter(customer=customer).order_by("-month"))
    spans = list(_open(customer, closed[0] if closed else None, now=now))
    found = [
        body(span, figures(span, customer_id=customer.pk, most_corrections=MOST_READ), state="open")
        for span in reversed(spans)
    ]
    names = ("month", "time_zone", "opens_at", "closes_at", "state", "opening", "closing")
    return [{name: said[name] for name in names} for said in [*found, *(each.body for each in closed)]]


def worded(said: dict[str, Any]) -> dict[str, Any]:
    """With what each line is called, in the language that is active."""
    lines = [{"months": [], **line, "description": str(LINES[line["kind"]])} for line in said["lines"]]
    return {**said, "lines": lines}


def shown(statement: MonthStatement) -> dict[str, Any]:
    """As programs see it."""
    return worded(statement.body)


def as_csv(said: dict[str, Any]) -> str:
    """The lines between opening and closing balance."""
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
    first = date(int(month[:4]), int(month[5:]), 1)
    statement = MonthStatement.objects.filter(customer=customer, month=first).first()
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
