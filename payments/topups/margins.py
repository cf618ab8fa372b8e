"""What each payment method leaves of a month: the margin of the credit it sold, and its fees, the house's own and the
provider's.

All sums are of transfers of the providers' accounts, by the month they are booked in. What credit brings when it is
used is not known by method, as a wallet does not tell its dollars apart: it is taken at `PRICE_MARGIN`.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.conf import settings

from billing.audit.run import snapshot
from billing.books import chart
from billing.books.kinds import Kind
from billing.books.money import CENT, ZERO
from billing.months.periods import next_month
from payments.models import Method

# `usd` is the other leg of what was exchanged: a top-up or a refund in yuan, a row that settles in another currency.
SUMS = """
SELECT split_part(c.name, ':', 2), c.currency, t.kind, CASE WHEN o.kind = 'system' THEN o.name ELSE 'customer' END,
 count(*), sum(t.amount), sum(abs(t.amount)) FILTER (WHERE u.id IS NOT NULL),
 sum(sign(t.amount) * u.amount), sum(u.amount)
FROM billing_ledgeraccount c
CROSS JOIN LATERAL (
 SELECT key, kind, credit_id AS other, amount FROM billing_transfer
  WHERE debit_id = c.id AND booked_on >= %(first)s AND booked_on < %(end)s
 UNION ALL
 SELECT key, kind, debit_id, -amount FROM billing_transfer
  WHERE credit_id = c.id AND booked_on >= %(first)s AND booked_on < %(end)s
) t
JOIN billing_ledgeraccount o ON o.id = t.other
LEFT JOIN billing_transfer u ON c.currency <> 'USD' AND u.currency = 'USD' AND u.key = CASE t.kind
 WHEN %(settlement)s THEN regexp_replace(t.key, 'settled$', 'charged')
 WHEN %(topup_charge)s THEN regexp_replace(t.key, '[A-Z]{3}$', 'USD')
 WHEN %(refund_charge)s THEN regexp_replace(t.key, '[A-Z]{3}$', 'USD') END
WHERE c.kind = 'system' AND starts_with(c.name, %(clearing)s)
GROUP BY 1, 2, 3, 4"""
SOLD = (Kind.TOPUP, Kind.TOPUP_CHARGE)
CUSTOMERS = ("customer", chart.IN_TRANSIT)
"""What is on the other side of what comes from customers and goes back to them; what is exchanged, by way of `fx:`."""

Sums = dict[str, Decimal]
"""By currency."""


@dataclass(slots=True)
class Margin:
    """A method's month. `credit` sold and what of it went `back` are USD; the fees as they were charged, by currency:
    `charged` to customers, less what went back of it, and `kept` by the provider.
    """

    method: str
    payments: int = 0
    credit: Decimal = ZERO
    back: Decimal = ZERO
    charged: Sums = field(default_factory=dict)
    kept: Sums = field(default_factory=dict)
    exchanged: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """By currency: what was exchanged of it, and its USD."""

    @property
    def label(self) -> str:
        return str(Method(self.method).label)

    @property
    def of_usage(self) -> Decimal:
        """What the credit that stayed leaves once it is used, USD to the cent."""
        margin = settings.PRICE_MARGIN
        return ((self.credit - self.back) * (margin - 1) / margin).quantize(CENT)

    @property
    def after_fees(self) -> Decimal | None:
        """What is left, USD to the cent, at the month's own rates; None if a currency has none."""
        left = self.of_usage
        for sums, sign in ((self.charged, 1), (self.kept, -1)):
            for currency, amount in sums.items():
                usd = self._usd(amount, currency)
                if usd is None:
                    return None
                left += sign * usd
        return left.quantize(CENT)

    def _usd(self, amount: Decimal, currency: str) -> Decimal | None:
        if currency == "USD" or not amount:
            return amount
        of_it, usd = self.exchanged.get(currency, (ZERO, ZERO))
        return amount * usd / of_it if of_it else None


def of_month(month: date) -> list[Margin]:
    """Each method's margin of the month that begins on a day, as booked in it."""
    with snapshot() as cursor:
        exchanged = {str(kind): kind for kind in (Kind.SETTLEMENT, Kind.TOPUP_CHARGE, Kind.REFUND_CHARGE)}
        cursor.execute(SUMS, {"first": month, "end": next_month(month), "clearing": chart.CLEARING, **exchanged})
        rows = cursor.fetchall()
    found = {method: Margin(method) for method in Method.values}
    for method, currency, kind, other, count, amount, of_it, signed_usd, usd in rows:
        if method not in found:
            continue
        margin = found[method]
        if usd is not None:
            before = margin.exchanged.get(currency, (ZERO, ZERO))
            margin.exchanged[currency] = (before[0] + of_it, before[1] + usd)
        if other.startswith(chart.TOPUP_FEES):
            _add(margin.charged, currency, amount)
        elif other.startswith(chart.FEES):
            _add(margin.kept, currency, -amount)
        elif kind in SOLD:
            margin.payments += count
            margin.credit += amount if currency == "USD" else signed_usd or ZERO
        elif other in CUSTOMERS or kind == Kind.REFUND_CHARGE:
            margin.back -= amount if currency == "USD" else signed_usd or ZERO
    return list(found.values())


def _add(sums: Sums, currency: str, amount: Decimal) -> None:
    sums[currency] = sums.get(currency, ZERO) + amount
