"""Limits of keys and customers: what a key may do (its policy), what it has done (its meters), and the decision.

The decision is pure. Meters change only under the customer's wallet lock, so any number of processes agree; they
count requests in five-second slots, the partial one in full, so a limit is never exceeded. SQL is sent by
`proxy/admission/queue.py` over its own connection.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import orjson

from accounts.roles import Right, Scope, roles_with
from core.arrays import array, columns

Network = IPv4Network | IPv6Network
ZERO, ONE = Decimal(0), Decimal(1)
SLOT_SECONDS = 5
SLOTS = 13
"""A minute and the partial slot."""


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """What a key may do, as of `version` of the key and `customer_version` of its customer. Caps in USD."""

    key_id: int
    customer_id: int
    version: int
    customer_version: int
    ends: float
    """When it expires, by `time.monotonic`; infinity for never."""
    allowed_models: frozenset[str]
    networks: tuple[Network, ...]
    rpm: int
    customer_rpm: int
    daily_limit: Decimal | None
    total_limit: Decimal | None
    factor: Decimal = ONE
    """What its customer's group pays of each price."""
    visible: frozenset[str] = frozenset()
    """The models that its customer's group sees; all, if none."""
    may_call: bool = True
    """Whether its scopes and its maker's role allow calls of models."""

    def allows_address(self, address: str) -> bool:
        return address_allowed(address, self.networks)


def address_allowed(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; no networks means everywhere."""
    if not networks:
        return True
    try:
        client = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(client, "ipv4_mapped", None)
    return any((mapped or client) in network for network in networks)


_CALLING_ROLES = ", ".join(f"'{role}'" for role in roles_with(Right.CALL))
READ_POLICIES = (
    "SELECT k.sha256, k.id, k.customer_id, m.version, c.version,"
    " extract(epoch FROM k.expires_at - clock_timestamp())::float8,"
    " k.allowed_models, k.allowed_ips, k.rpm_limit, coalesce(u.rpm_limit, g.rpm_limit), k.daily_limit, k.total_limit,"
    f" '{Scope.INFERENCE}' = ANY(k.scopes) AND (k.by_operator OR EXISTS (SELECT FROM accounts_membership s"
    f" WHERE s.user_id = k.created_by_id AND s.customer_id = k.customer_id AND s.role IN ({_CALLING_ROLES}))),"
    " coalesce(g.factor, 1), coalesce(g.models, '{}')"
    " FROM accounts_apikey k JOIN accounts_keymeter m ON m.key_id = k.id"
    " JOIN accounts_customermeter c ON c.customer_id = k.customer_id"
    " JOIN accounts_customer u ON u.id = k.customer_id"
    ' LEFT JOIN accounts_customergroup g ON g.name = u."group" WHERE k.sha256 = ANY(%s)'
)


def policy_from_row(
    row: Sequence[Any], *, asked_at: float, default_rpm: int, default_customer_rpm: int
) -> tuple[str, KeyPolicy]:
    """A row of READ_POLICIES, asked at that moment of `time.monotonic`, as (sha256, policy)."""
    return row[0], KeyPolicy(
        key_id=row[1],
        customer_id=row[2],
        version=row[3],
        customer_version=row[4],
        ends=math.inf if row[5] is None else asked_at + row[5],
        allowed_models=frozenset(row[6]),
        networks=tuple(ip_network(text, strict=False) for text in row[7]),
        rpm=default_rpm if row[8] is None else row[8],
        customer_rpm=default_customer_rpm if row[9] is None else row[9],
        daily_limit=row[10],
        total_limit=row[11],
        may_call=row[12],
        factor=row[13],
        visible=frozenset(row[14]),
    )


class Rate:
    """Requests of the last minute in five-second slots."""

    __slots__ = ("changed", "slot", "slots")

    def __init__(self, slot: int = 0, slots: Sequence[int] = (0,) * SLOTS) -> None:
        self.slot = slot
        self.slots = list(slots)
        self.changed = False

    def at(self, slot: int) -> int:
        """Requests in the window that ends with `slot`."""
        self._advance(slot)
        return sum(self.slots)

    def count(self, slot: int) -> None:
        self._advance(slot)
        self.slots[slot % SLOTS] += 1
        self.changed = True

    def seconds_until_free(self, slot: int, *, limit: int) -> int:
        """Seconds, at most, until the window holds fewer than `limit` requests again."""
        left = self.at(slot)
        for age in range(SLOTS - 1, -1, -1):
            left -= self.slots[(slot - age) % SLOTS]
            if left < limit:
                return (SLOTS - age) * SLOT_SECONDS
        return SLOTS * SLOT_SECONDS

    def _advance(self, slot: int) -> None:
        # A clock a little behind another process's counts in that process's newer slot.
        for step in range(self.slot + 1, min(slot, self.slot + SLOTS) + 1):
            self.slots[step % SLOTS] = 0
        if slot - self.slot > SLOTS:
            self.slots = [0] * SLOTS
        self.slot = max(self.slot, slot)


class KeyCounter:
    """A key's meter in the hands of one batch: read under the wallet lock, counted in Python, written once."""

    __slots__ = ("active", "customer_id", "day", "day_spent", "has_more", "key_id", "rate", "total_spent", "version")

    def __init__(self, row: Sequence[Any]) -> None:
        self.key_id: int = row[0]
        self.customer_id: int = row[1]
        self.version: int = row[2]
        self.active: bool = row[3]
        self.rate = Rate(row[4], row[5])
        self.day: date = row[6]
        self.day_spent: Decimal = row[7]
        self.total_spent: Decimal = row[8]
        self.has_more = False
        """Whether more was held for a request that was counted before."""

    def spent_on(self, day: date) -> Decimal:
        return self.day_spent if self.day >= day else Decimal(0)

    def count(self, *, slot: int, day: date, held: Decimal) -> None:
        self.rate.count(slot)
        self.day_spent = self.spent_on(day) + held
        self.day = max(self.day, day)
        self.total_spent += held

    def count_more(self, *, day: date, held: Decimal) -> None:
        """More is held for a request that was counted on `day`: there settlement corrects it."""
        if self.day == day:
            self.day_spent += held
        self.total_spent += held
        self.has_more = True


class CustomerCounter:
    """A customer's meter in the hands of one batch."""

    __slots__ = ("by_model", "customer_id", "rate", "suspended", "version")

    def __init__(self, row: Sequence[Any]) -> None:
        self.customer_id: int = row[0]
        self.version: int = row[1]
        self.suspended: bool = row[2]
        self.rate = Rate(row[3], row[4])
        self.by_model: dict[str, Rate] = {name: Rate(slot, slots) for name, (slot, slots) in row[5].items()}

    def model(self, slug: str) -> Rate:
        return self.by_model.setdefault(slug, Rate())

    @property
    def changed(self) -> bool:
        return self.rate.changed or any(rate.changed for rate in self.by_model.values())

    def models_at(self, slot: int) -> dict[str, list[Any]]:
        """The models asked for within the window that ends with `slot`, as stored."""
        return {name: [rate.slot, rate.slots] for name, rate in self.by_model.items() if rate.at(slot)}


class Cap(Enum):
    """What a key may spend: a day, or in all."""

    DAY = "day"
    TOTAL = "total"


CAPS = {Cap.DAY: ("daily_limit_exceeded", "a day"), Cap.TOTAL: ("key_limit_exceeded", "in all")}


@dataclass(frozen=True, slots=True)
class LimitReached:
    """Why a request is refused: the API's code, a sentence, and for a rate its limit and when to come back.

    For a cap: which one, its amount, what the key has spent or held and what the request needs, in USD.
    """

    code: str
    message: str
    rate_limit: int | None = None
    retry_after: int | None = None
    cap: Cap | None = None
    cap_limit: Decimal = ZERO
    spent: Decimal = ZERO
    needed: Decimal = ZERO


def slot_of(now: datetime) -> int:
    return int(now.timestamp()) // SLOT_SECONDS


def check(
    *,
    policy: KeyPolicy,
    key: KeyCounter,
    customer: CustomerCounter,
    model: str,
    model_rpm: int,
    hold: Decimal,
    now: datetime,
) -> LimitReached | None:
    """The first limit that a request holding `hold` USD would break, or None."""
    slot, today = slot_of(now), now.astimezone(UTC).date()
    for limit, rate, whose in (
        (policy.rpm, key.rate, "This key"),
        (policy.customer_rpm, customer.rate, "This account"),
        (model_rpm, customer.by_model.get(model), "This account, for this model,"),
    ):
        if limit and rate is not None and rate.at(slot) >= limit:
            wait = rate.seconds_until_free(slot, limit=limit)
            return LimitReached(
                "rate_limit_exceeded",
                f"{whose} may make {limit} requests per minute. Try again in {wait} seconds.",
                rate_limit=limit,
                retry_after=wait,
            )
    for cap, most, spent in _caps(policy, key, today):
        if spent + hold > most:
            code, period = CAPS[cap]
            resets = f" It resets at {today + timedelta(days=1)}T00:00:00Z." if cap is Cap.DAY else ""
            return LimitReached(
                code,
                f"This key may spend ${most:f} {period} and has spent or held ${spent:f};"
                f" this request needs ${hold:f}.{resets}",
                cap=cap,
                cap_limit=most,
                spent=spent,
                needed=hold,
            )
    return None


def left(*, policy: KeyPolicy, key: KeyCounter, now: datetime) -> Decimal | None:
    """What the key's caps leave, in USD; None where it has none."""
    if policy.daily_limit is None and policy.total_limit is None:
        return None
    today = now.astimezone(UTC).date()
    return min((most - spent for _cap, most, spent in _caps(policy, key, today)), default=None)


def left_on(day: date, *, policy: KeyPolicy, key: KeyCounter) -> Decimal | None:
    """What the key's caps leave to a request that was counted on `day`, in USD; None where it has none."""
    found = [] if policy.total_limit is None else [policy.total_limit - key.total_spent]
    if policy.daily_limit is not None and key.day <= day:
        found.append(policy.daily_limit - key.spent_on(day))
    return min(found, default=None)


def _caps(policy: KeyPolicy, key: KeyCounter, today: date) -> Iterator[tuple[Cap, Decimal, Decimal]]:
    """Each cap that is set, its amount and what was spent or held of it."""
    if policy.daily_limit is not None:
        yield Cap.DAY, policy.daily_limit, key.spent_on(today)
    if policy.total_limit is not None:
        yield Cap.TOTAL, policy.total_limit, key.total_spent


_METERS = (
    "SELECT k.key_id, k.customer_id, k.version, k.active, k.slot, k.slots, k.day, k.day_spent, k.total_spent,"
    " c.customer_id, c.version, c.suspended, c.slot, c.slots, c.by_model, clock_timestamp()"
    " FROM accounts_keymeter k JOIN accounts_customermeter c ON c.customer_id = k.customer_id"
)
READ_METERS = f"{_METERS} WHERE k.key_id = ANY(%s)"
READ_METERS_OF_ONE = f"{_METERS} WHERE k.key_id = %s"
_KEY_METER = (
    "UPDATE accounts_keymeter m SET slot = d.slot, slots = d.slots::int[], day = d.day, day_spent = d.day_spent,"
    " total_spent = d.total_spent, last_used_at = %s"
)
WRITE_KEY_METERS = (
    f"{_KEY_METER} FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::date[], %s::numeric[], %s::numeric[])"
    " AS d(key_id, slot, slots, day, day_spent, total_spent) WHERE m.key_id = d.key_id"
)
WRITE_ONE_KEY_METER = (
    f"{_KEY_METER} FROM (SELECT %s::bigint, %s::bigint, %s::text, %s::date, %s::numeric, %s::numeric)"
    " AS d(key_id, slot, slots, day, day_spent, total_spent) WHERE m.key_id = d.key_id"
)
WRITE_CUSTOMER_METERS = (
    "UPDATE accounts_customermeter m SET slot = d.slot, slots = d.slots::int[], by_model = d.by_model::jsonb"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS d(customer_id, slot, slots, by_model)"
    " WHERE m.customer_id = d.customer_id"
)


def counters(rows: Iterable[Sequence[Any]]) -> tuple[dict[int, KeyCounter], dict[int, CustomerCounter]]:
    """Rows of READ_METERS by key and by customer; their last column is the time by the clock that all share."""
    keys: dict[int, KeyCounter] = {}
    customers: dict[int, CustomerCounter] = {}
    for row in rows:
        keys[row[0]] = KeyCounter(row)
        if row[9] not in customers:
            customers[row[9]] = CustomerCounter(row[9:])
    return keys, customers


def writes(
    keys: Iterable[KeyCounter], customers: Iterable[CustomerCounter], *, now: datetime
) -> list[tuple[str, Sequence[Any]]]:
    """The statements, each with its parameters, that write what was counted; none for what was not."""
    statements: list[tuple[str, Sequence[Any]]] = []
    counted = [
        (key.key_id, key.rate.slot, array(key.rate.slots), key.day, key.day_spent, key.total_spent)
        for key in keys
        if key.rate.changed or key.has_more
    ]
    if len(counted) == 1:
        statements.append((WRITE_ONE_KEY_METER, (now, *counted[0])))
    elif counted:
        statements.append((WRITE_KEY_METERS, (now, *columns(counted))))
    slot = slot_of(now)
    changed = [
        (
            customer.customer_id,
            customer.rate.slot,
            array(customer.rate.slots),
            orjson.dumps(customer.models_at(slot)).decode(),
        )
        for customer in customers
        if customer.changed
    ]
    if changed:
        statements.append((WRITE_CUSTOMER_METERS, columns(changed)))
    return statements


CORRECT_KEY_METERS = (
    "UPDATE accounts_keymeter m SET total_spent = m.total_spent + d.change,"
    " day_spent = m.day_spent + CASE WHEN m.day = d.day THEN d.change ELSE 0 END"
    " FROM unnest(%s::bigint[], %s::date[], %s::numeric[]) AS d(key_id, day, change) WHERE m.key_id = d.key_id"
)
"""Settlement's correction of held to spent, on the day it was counted on."""
