"""What stands at a provider by the books, and what explains it: what its matched statements tell of what we know, and
what we booked that none of them tells yet.

A line counts as settled if it names something of ours, or is a fee or a payout, and no difference with it is open or
closed by staff. Of every other line only what was posted for it counts. What then is left of an account's balance
nobody can explain.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.audit.run import snapshot
from billing.books import chart
from billing.books.money import ZERO, shown
from billing.months import journal
from payments.models import Method
from payments.statements.fetching import NUMBERED_BY_PAYMENT

# One pass over all top-ups and lines: seconds for a million of each, for the nightly audit alone.
# A refund's part is told as often as lines tell that it went out, less how often they tell that it came back.
SUMS = """
WITH line AS MATERIALIZED (
 SELECT l.provider, l.key, l.kind, l.amount - l.fee AS net, l.currency, l.number, l.refund_id, l.transaction_id
 FROM payments_statementline l JOIN payments_statement s ON s.id = l.statement_id
 WHERE s.matched_at IS NOT NULL
  AND (l.kind IN ('payment', 'refund', 'refund_failure', 'dispute') OR l.kind IN ('fee', 'payout') AND s.held_back = 0)
  AND NOT EXISTS (SELECT FROM payments_discrepancy d
   WHERE d.provider = l.provider AND d.day = s.day AND d.key IN (l.key, l.key || ':posted') AND d.state <> 'cured')
),
told AS MATERIALIZED (
 SELECT line.provider, line.key, line.kind, net, line.currency, t.id AS about
 FROM line JOIN payments_topup t ON t.method = line.provider AND t.transaction_id = line.transaction_id
 WHERE line.kind = 'payment' AND line.transaction_id <> '' AND t.state = 'paid'
 UNION ALL
 SELECT line.provider, line.key, line.kind, net, line.currency, p.id
 FROM line CROSS JOIN LATERAL (
  SELECT p.id FROM payments_refundpart p JOIN payments_topup t ON t.id = p.topup_id AND t.method = line.provider
  WHERE (p.key = line.number OR (line.refund_id <> '' AND p.provider_id = line.refund_id))
   AND (line.provider <> ALL(%(by_payment)s) OR t.transaction_id = line.transaction_id)
  ORDER BY p.key = line.number DESC, p.id LIMIT 1
 ) p
 WHERE line.kind IN ('refund', 'refund_failure')
 UNION ALL
 SELECT line.provider, line.key, line.kind, net, line.currency, m.id
 FROM line JOIN payments_disputemovement m ON m.provider_id = line.key
 JOIN payments_dispute d ON d.id = m.dispute_id AND d.provider = line.provider
 WHERE line.kind = 'dispute'
 UNION ALL
 SELECT provider, key, kind, net, currency, NULL FROM line WHERE kind IN ('fee', 'payout')
),
rest AS MATERIALIZED (
 SELECT 'statement:' || l.provider || ':' || l.key || ':' AS key FROM payments_statementline l
 WHERE NOT EXISTS (SELECT FROM told WHERE told.provider = l.provider AND told.key = l.key)
)
SELECT 'settled', %(clearing)s || provider || ':' || currency AS account, sum(net) FROM told GROUP BY account
UNION ALL
SELECT 'posted', a.name, sum(CASE WHEN x.debit_id = a.id THEN x.amount ELSE -x.amount END)
FROM rest CROSS JOIN LATERAL (
 SELECT debit_id, credit_id, amount FROM billing_transfer WHERE key = ANY(ARRAY[
  rest.key || 'fee', rest.key || 'payout', rest.key || 'charged', rest.key || 'settled', rest.key || 'others',
  rest.key || 'others_back']) OFFSET 0
) x
JOIN billing_ledgeraccount a ON a.id IN (x.debit_id, x.credit_id) AND starts_with(a.name, %(clearing)s)
GROUP BY a.name
UNION ALL
SELECT 'untold', %(clearing)s || t.method || ':' || t.charge_currency AS account, sum(t.charge_amount)
FROM payments_topup t
WHERE t.state = 'paid' AND NOT EXISTS (SELECT FROM told WHERE told.kind = 'payment' AND told.about = t.id)
GROUP BY account
UNION ALL
SELECT 'untold', %(clearing)s || t.method || ':' || p.charge_currency AS account,
 sum(p.charge_amount * (coalesce(there.times, 0) - CASE
  WHEN p.state = 'done' AND NOT p.by_bank AND (p.confirmed_by_id IS NULL OR p.paid_there) THEN 1 ELSE 0 END))
FROM payments_refundpart p
JOIN payments_topup t ON t.id = p.topup_id
LEFT JOIN (
 SELECT about, sum(CASE kind WHEN 'refund' THEN 1 ELSE -1 END) AS times
 FROM told WHERE kind IN ('refund', 'refund_failure') GROUP BY about
) there ON there.about = p.id
GROUP BY account
UNION ALL
SELECT 'untold', moved.account, sum(moved.amount)
FROM payments_disputemovement m
JOIN payments_dispute d ON d.id = m.dispute_id
CROSS JOIN LATERAL (VALUES (%(clearing)s || d.provider || ':' || d.currency, m.booked),
 (%(clearing)s || d.provider || ':' || m.currency, -m.fee)) AS moved(account, amount)
WHERE NOT EXISTS (SELECT FROM told WHERE told.kind = 'dispute' AND told.about = m.id)
GROUP BY moved.account
UNION ALL
SELECT 'by hand', a.name, sum(CASE WHEN e.debit_id = a.id THEN e.amount ELSE -e.amount END)
FROM billing_journalentry e
JOIN billing_ledgeraccount a ON a.id IN (e.debit_id, e.credit_id) AND starts_with(a.name, %(clearing)s)
WHERE e.state = 'posted'
GROUP BY a.name"""


@dataclass(frozen=True, slots=True)
class Clearing:
    """An account at a provider, in its currency, above zero if the provider owes us: its `balance` by the books, and
    what explains it."""

    name: str
    currency: str
    balance: Decimal
    settled: Decimal
    """By what matched statements tell, their fees and payouts among it."""
    untold: Decimal
    """Booked, and in no matched statement yet."""
    posted: Decimal
    """For lines that name nothing of ours, or differ."""
    by_hand: Decimal

    @property
    def rest(self) -> Decimal:
        """What nothing explains."""
        return self.balance - self.settled - self.untold - self.posted - self.by_hand

    @property
    def in_words(self) -> str:
        names = ("balance", "settled", "untold", "posted", "by_hand", "rest")
        sums = {name: shown(getattr(self, name), currency=self.currency) for name in names}
        return (
            "{name} holds {balance}: statements settle {settled}, not told yet are {untold}, for other lines {posted}"
            " were posted, by hand {by_hand}; nothing explains {rest}"
        ).format(name=self.name, **sums)


def accounts() -> list[Clearing]:
    """The accounts at our providers, all read in one snapshot, so that live traffic is in both sides or in neither."""
    with snapshot() as cursor:
        balances = journal.house_balances(chart.CLEARING)
        cursor.execute(SUMS, {"by_payment": list(NUMBERED_BY_PAYMENT), "clearing": chart.CLEARING})
        sums: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
        for what, account, amount in cursor.fetchall():
            sums[account][what] += amount or ZERO
    found = {balance.account.name: -balance.amount for balance in balances}
    ours = tuple(chart.clearing(method, "") for method in Method.values)
    return [
        Clearing(
            name=name,
            currency=name.rpartition(":")[2],
            balance=found.get(name, ZERO),
            settled=sums[name]["settled"],
            untold=sums[name]["untold"],
            posted=sums[name]["posted"],
            by_hand=sums[name]["by hand"],
        )
        for name in sorted({*found, *sums})
        if name.startswith(ours)
    ]


def check_clearing(customer_id: int | None) -> Iterator[str]:
    """Each provider's account holds what its statements and what is not in them explain; no customer has one."""
    if customer_id is None:
        yield from (account.in_words for account in accounts() if account.rest)
