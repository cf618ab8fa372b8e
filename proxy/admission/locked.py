"""What admission decides upon, read under its wallets' locks in one round trip."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from accounts.limits import meters as limits
from accounts.limits.meters import CustomerCounter, KeyCounter
from accounts.limits.policy import KeyPolicy
from billing.books import holds
from billing.books.allowance import Overrun, Payments, allowance
from billing.books.money import ZERO
from core.arrays import array
from proxy.admission.rule import Purse, WalletCounter
from proxy.batches.pipeline import Pipeline, Query
from proxy.once import rows as once_rows
from proxy.once.claims import Claim

LOCK_GENERATIONS = (
    "SELECT id FROM proxy_generation WHERE id = ANY(%s) AND state = 'held' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"
)
"""Who locks one that is held is about to end it; waiting for that with a wallet locked would be the wrong order."""
COUNT_IN_FLIGHT = (
    "SELECT key_id, count(*) FROM proxy_generation WHERE state = 'held' AND key_id = ANY(%s) GROUP BY key_id"
)
NO_TIME = datetime.min.replace(tzinfo=UTC)
"""Where no key was found, so that nothing is admitted."""


@dataclass(slots=True)
class Locked:
    """Wallets by customer, budgets by their holds, meters by key and customer, which of the requests that want more are
    still under way, and which of those that may be repeats were begun before; `now` by PostgreSQL's clock.
    """

    wallets: dict[int, WalletCounter]
    purses: dict[str, Purse]
    keys: dict[int, KeyCounter]
    customers: dict[int, CustomerCounter]
    open_ones: set[str]
    begun: once_rows.Begun
    now: datetime

    def spends_from(self, policy: KeyPolicy) -> WalletCounter | None:
        """What a key's calls spend from: its customer's wallet, or its budget; None where the wallet is not locked."""
        wallet = self.wallets.get(policy.customer_id)
        if wallet is None or not policy.purse:
            return wallet
        return self.purses.get(policy.purse) or Purse(ZERO, ZERO, ZERO)


async def read(
    pipeline: Pipeline,
    policies: Sequence[KeyPolicy],
    extending: Collection[str],
    claims: Collection[Claim],
    *,
    overrun: Overrun,
    wait_for_locks: bool,
) -> Locked:
    """Begin a transaction and lock: the wallets of these keys' customers, and the requests that want more."""
    customer_ids = sorted({policy.customer_id for policy in policies})
    key_ids = list({policy.key_id for policy in policies})
    inside = {policy.purse: policy.customer_id for policy in policies if policy.purse}
    if wait_for_locks:
        lock: list[Query] = [("SET LOCAL lock_timeout = 250", ()), (holds.LOCK_WALLETS, [customer_ids])]
    elif len(customer_ids) == 1:
        lock = [(holds.LOCK_FREE_WALLET, customer_ids)]
    else:
        lock = [(holds.LOCK_FREE_WALLETS, [customer_ids])]
    # The rest is read by queries of its own, after the locks: a snapshot taken before would be stale.
    queries: list[Query] = [("BEGIN", ()), *lock]
    queries.append((limits.READ_METERS_OF_ONE, key_ids) if len(key_ids) == 1 else (limits.READ_METERS, [key_ids]))
    if extending:
        queries.append((LOCK_GENERATIONS, [array(extending)]))
    if limited := {policy.key_id for policy in policies if policy.at_once is not None}:
        queries.append((COUNT_IN_FLIGHT, [list(limited)]))
    if inside:
        queries.append((holds.READ_PURSES, [list(inside)]))
    if claims:
        queries.append(once_rows.read_of(claims))
    locked, meters, *more = (await pipeline.round_trip(queries))[len(lock) :]
    now = meters[0][-1] if meters else NO_TIME
    wallets = {}
    for customer_id, available, held, exposure, bonus, *paid in locked:
        most = allowance(Payments(*paid), overrun=overrun, now=now)
        wallets[customer_id] = WalletCounter(available, held, exposure, bonus, most)
    begun = once_rows.begun(more.pop() if claims else ())
    purses = {}
    for key, left, held, requests in more.pop() if inside else ():
        if (wallet := wallets.get(inside[key])) is not None:
            purses[key] = Purse(left, held, ZERO, requests=requests).backed_by(wallet)
    keys, customers = limits.counters(meters)
    for key_id, in_flight in more.pop() if limited else ():
        keys[key_id].in_flight = in_flight
    open_ones = {row[0] for row in more[0]} if extending else set()
    return Locked(wallets, purses, keys, customers, open_ones, begun, now)
