"""What is left of credit that was bought from upstreams beforehand: what stands against what they are owed."""

from dataclasses import dataclass
from decimal import Decimal

from billing.books import chart
from billing.books.money import CENT, ZERO
from billing.months import journal
from proxy.models import Upstream


@dataclass(frozen=True, slots=True)
class Credit:
    """Of one upstream, in its currency: `amount` is what is left, below zero what is owed to it."""

    upstream: str
    currency: str
    amount: Decimal
    alarm: Decimal
    account_id: int | None
    """The account in the books; None before its first transfer."""

    @property
    def is_low(self) -> bool:
        return self.amount < self.alarm


def watched() -> list[Credit]:
    """Of the upstreams in use that have an alarm, by name."""
    upstreams = list(Upstream.objects.filter(is_active=True, credit_alarm__isnull=False).order_by("name"))
    balances = journal.house_balances(chart.UPSTREAM_PAYABLE) if upstreams else []
    by_name = {one.account.name: one for one in balances}
    found = []
    for upstream in upstreams:
        balance = by_name.get(chart.upstream_payable(upstream.name, upstream.currency))
        amount, account_id = (ZERO, None) if balance is None else (-balance.amount, balance.account.pk)
        alarm = upstream.credit_alarm or ZERO
        found.append(Credit(upstream.name, upstream.currency, amount, alarm, account_id))
    return found


def left_at(upstream: Upstream) -> Decimal:
    """What is left at one upstream, to the cent or fen; below zero what is owed to it."""
    name = chart.upstream_payable(upstream.name, upstream.currency)
    return sum((-one.amount for one in journal.house_balances(name)), ZERO).quantize(CENT)
