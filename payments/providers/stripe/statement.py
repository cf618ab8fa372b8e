"""A day's statement: Stripe's balance transactions. Facts about them: stripe 16.1.0."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.books.money import from_minor
from payments.providers.base import Bill, BillRow, Unreadable
from payments.providers.reading import words

CHARGED = ("payment", "refund", "refund_failure", "dispute")
KINDS = {
    "charge": "payment",
    "payment": "payment",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payment_failure_refund": "refund_failure",
    "payout": "payout",
    "payout_failure": "payout",
    "payout_cancel": "payout",
    "stripe_fee": "fee",
    "stripe_fx_fee": "fee",
    "tax_fee": "fee",
}


def read_transactions(transactions: list[dict[str, Any]]) -> Bill:
    """Balance transactions with their sources expanded."""
    read, unreadable = [], []
    for number, row in enumerate(transactions, start=1):
        try:
            read.append(_row(row))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            unreadable.append(Unreadable(number, f"{type(error).__name__} {error}: {json.dumps(row)}"))
    return Bill(json.dumps(transactions).encode(), read, unreadable)


def _row(row: Mapping[str, Any]) -> BillRow:
    source = row.get("source")
    about: Mapping[str, Any] = source if isinstance(source, Mapping) else {"id": source or ""}
    kind = KINDS.get(str(row["type"]), "other")
    is_dispute = str(row.get("reporting_category", "")).startswith("dispute")
    if is_dispute or str(about.get("id", "")).startswith(("du_", "dp_")):
        kind = "dispute"
    metadata = about.get("metadata") or {}
    currency = str(row["currency"]).upper()
    amount = from_minor(int(row["amount"]), currency=currency)
    charge, charge_currency = _charged(about, currency) if kind in CHARGED else (None, "")
    return BillRow(
        key=str(row["id"]),
        kind=kind,
        amount=amount,
        fee=from_minor(int(row["fee"]), currency=currency),
        currency=currency,
        transaction_id=str(about.get("payment_intent") or about.get("id") or ""),
        refund_id=str(about["id"]) if kind.startswith(("refund", "dispute")) else "",
        number=words(metadata.get("part") or metadata.get("order")),  # another shop may keep anything there
        at=datetime.fromtimestamp(int(row["created"]), UTC),
        charge_amount=charge.copy_sign(amount) if charge is not None else None,
        charge_currency=charge_currency,
        detail=words(f"{row['type']} {row.get('description') or ''}".strip()),
    )


def _charged(about: Mapping[str, Any], settled_in: str) -> tuple[Decimal | None, str]:
    """What a row's source is of, where that is in another currency than the account."""
    currency = str(about.get("currency") or "").upper()
    if not currency or currency == settled_in:
        return None, ""
    return from_minor(int(about["amount"]), currency=currency), currency
