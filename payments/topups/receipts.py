"""The receipt of a credited top-up: what was paid, as it was paid."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils import translation

from accounts.people.customers import language_of
from billing import invoices
from billing.books.money import ZERO
from billing.invoices.papers.kept import paper
from billing.models import Paper
from payments.models import TopUp


def receipt(topup: TopUp, *, now: datetime, locale: str = "") -> Paper | None:
    """The receipt in a language, that of the order unless one is named; None for a top-up that is not credited."""
    if topup.state != TopUp.State.PAID:
        return None
    return paper(
        Paper.Kind.RECEIPT,
        customer_id=topup.customer_id,
        number=topup.number,
        locale=locale or locale_of(topup),
        facts=lambda language: _facts(topup, language),
        now=now,
    )


def attached(customer_id: int | None, number: str, locale: str, now: datetime) -> tuple[str, bytes, str]:
    """The receipt as a file of a mail; raises `LookupError` for a top-up that is not credited."""
    topup = TopUp.objects.select_related("customer").filter(customer_id=customer_id or 0, number=number).first()
    paper = receipt(topup, now=now, locale=locale) if topup is not None else None
    if paper is None:
        raise LookupError(f"no receipt of {number}")
    return file_name(number), bytes(paper.content), "application/pdf"


def file_name(number: str) -> str:
    return f"receipt-{number}.pdf"


def locale_of(topup: TopUp) -> str:
    """The language in which the order was opened, or the account's."""
    return str(topup.request.get("locale") or language_of(topup.customer))


def _facts(topup: TopUp, language: str) -> Mapping[str, Any]:
    if topup.paid_at is None:
        raise ValueError("a top-up that is paid says when")
    with translation.override(language):
        method = str(topup.get_method_display())
    return {
        "number": topup.number,
        "paid_at": topup.paid_at.astimezone(UTC).isoformat(),
        "seller": invoices.seller_in_use(currency=topup.charge_currency, locale=language),
        "payer": topup.customer.name,
        "method": method,
        "currency": topup.charge_currency,
        "base": f"{topup.base_amount:f}",
        "fee": f"{topup.fee_amount:f}",
        "tax": f"{ZERO:.2f}",
        "total": f"{topup.charge_amount:f}",
        "credit": f"{topup.amount:f}",
        "rate": f"{topup.fx_rate.normalize():f}" if topup.fx_rate is not None else "",
    }
