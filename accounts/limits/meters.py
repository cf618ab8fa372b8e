"""Meters of keys, members and customers, and the decision whether a request breaks a limit of its key.

The decision is pure. Meters change only under the customer's wallet lock, so any number of processes agree. SQL is sent
by `proxy/admission/queue.py` over its own connection.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson

from accounts.limits.periods import Period, begins, resets_at
from accounts.limits.policy import KeyPolicy
from accounts.limits.slots import Rate, slot_of
from accounts.limits.spending import COLUMNS, SPENT, ZERO, Spending, Whose
from core.arrays import array, columns


class KeyCounter(Spending):
    """A key's meter in the hands of one batch: read under the wallet lock, counted in Python, written once."""

    __slots__ = ("active", "customer_id", "in_flight", "key_id", "member", "rate", "version")

    def __init__(self, row: Sequence[Any], member: "MemberCounter | None" = None) -> None:
        super().__init__(row[6:15])
        self.key_id: int = row[0]
        self.customer_id: int = row[1]
        self.version: int = row[2]
        self.active: bool = row[3]
        self.rate = Rate(row[4], row[5])
        self.member = member
        self.in_flight = 0
        """Requests under way; only read for keys that have a limit of them."""

    def hold(self, policy: KeyPolicy, *, slot: int, today: date, held: Decimal) -> date:
        """Count a request; the day on which it counts."""
        self.rate.count(slot)
        self.in_flight += 1
        if policy.member_caps and self.member is not None:
            today = max(today, self.day, self.member.day)  # one day for both, as one correction will be of both
            self.member.count(today, held)
        return self.count(today, held)

    def hold_more(self, policy: KeyPolicy, *, counted_on: date, held: Decimal) -> None:
        """More is held for a request that was counted on that day."""
        if policy.member_caps and self.member is not None:
            self.member.count_more(counted_on, held)
        self.count_more(counted_on, held)


class MemberCounter(Spending):
    """A member's meter in the hands of one batch."""

    __slots__ = ("member_id",)

    def __init__(self, row: Sequence[Any]) -> None:
        super().__init__(row[1:])
        self.member_id: int = row[0]


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


SUBJECTS = {Whose.KEY: "This key", Whose.MEMBER: "The member who made this key, with all keys together,"}
PERIODS = {Period.DAY: "a day", Period.WEEK: "a week", Period.MONTH: "a month", Period.TOTAL: "in all"}


@dataclass(frozen=True, slots=True)
class CapReached:
    """A cap without room for what is `needed`: what is `spent`, that is held or charged, and `held` of it, in USD.

    `meter_id` is the key's or the membership's; `since` the first date of its period, `resets_at` its end in UTC, None
    for never; `message` says all that in a sentence.
    """

    whose: Whose
    meter_id: int
    period: Period
    limit: Decimal
    spent: Decimal
    held: Decimal
    needed: Decimal
    since: date
    resets_at: datetime | None = None
    message: str = ""

    @property
    def code(self) -> str:
        if self.whose is Whose.MEMBER:
            return "member_limit_exceeded"
        return "daily_limit_exceeded" if self.period is Period.DAY else "key_limit_exceeded"

    @property
    def room(self) -> Decimal:
        return self.limit - self.spent


@dataclass(frozen=True, slots=True)
class LimitReached:
    """Why a request is refused: the API's code, a sentence, for a rate its limit and when to come back, or the cap."""

    code: str
    message: str
    rate_limit: int | None = None
    retry_after: int | None = None
    cap: CapReached | None = None


def today_of(policy: KeyPolicy, now: datetime) -> date:
    """The date in the account's zone."""
    return (now if policy.zone is UTC else now.astimezone(policy.zone)).date()


def check(
    *,
    policy: KeyPolicy,
    key: KeyCounter,
    customer: CustomerCounter,
    model: str,
    model_rpm: int,
    hold: Decimal,
    now: datetime,
    room: Decimal | None = None,
) -> LimitReached | None:
    """The first limit that a request holding `hold` USD would break, or None; `room` is what the caps leave, if that is
    known.
    """
    slot = slot_of(now)
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
    if policy.at_once is not None and key.in_flight >= policy.at_once:
        noun = "request" if policy.at_once == 1 else "requests"
        return LimitReached(
            "rate_limit_exceeded",
            f"This key may make {policy.at_once} {noun} at once. Try again when one has ended.",
            rate_limit=policy.at_once,
            retry_after=AT_ONCE_RETRY_SECONDS,
        )
    if not (policy.caps or policy.member_caps) or (room is not None and hold <= room):
        return None
    today = today_of(policy, now)
    for spending in (key, key.member):
        if spending is not None:
            spending.turn_to(today)
    reached = _broken(policy, key, needed=hold)
    return None if reached is None else LimitReached(reached.code, reached.message, cap=reached)


AT_ONCE_RETRY_SECONDS = 1


def broken_on(day: date, *, policy: KeyPolicy, key: KeyCounter, needed: Decimal) -> CapReached | None:
    """The first cap without room for `needed` USD more of a request that was counted on `day`."""
    return _broken(policy, key, needed=needed, counted_on=day)


def _broken(
    policy: KeyPolicy, key: KeyCounter, *, needed: Decimal, counted_on: date | None = None
) -> CapReached | None:
    member = key.member
    for whose, meter_id, spending, caps in (
        (Whose.KEY, key.key_id, key, policy.caps),
        (Whose.MEMBER, 0 if member is None else member.member_id, member, policy.member_caps),
    ):
        if spending is None or not caps:
            continue
        if (broken := spending.broken(caps, needed=needed, counted_on=counted_on)) is not None:
            period, most = broken
            spent, charged = spending.spent[period], spending.charged[period]
            ends = resets_at(period, day=spending.day, zone=policy.zone)
            held, since = max(ZERO, spent - charged), begins(spending.day)[period]
            reached = CapReached(whose, meter_id, period, most, spent, held, needed, since, ends)
            return replace(reached, message=_words(reached, policy, more="" if counted_on is None else " more"))
    return None


def _words(reached: CapReached, policy: KeyPolicy, *, more: str) -> str:
    ends = reached.resets_at
    where = "" if policy.zone is UTC else f", midnight in {policy.zone}"
    resets = "" if ends is None else f" It resets at {ends:%Y-%m-%dT%H:%M:%SZ}{where}."
    return (
        f"{SUBJECTS[reached.whose]} may spend ${reached.limit:.8f} {PERIODS[reached.period]}:"
        f" ${reached.spent - reached.held:.8f} is charged and ${reached.held:.8f} is held;"
        f" this request needs ${reached.needed:.8f}{more}.{resets}"
    )


def left(*, policy: KeyPolicy, key: KeyCounter, now: datetime) -> Decimal | None:
    """What the caps of key and member leave, in USD; None where there are none."""
    if not (policy.caps or policy.member_caps):
        return None
    today, member = today_of(policy, now), key.member
    key.turn_to(today)
    room = key.room(policy.caps)
    if member is None or not policy.member_caps:
        return room
    member.turn_to(today)
    of_member = member.room(policy.member_caps)
    return of_member if room is None or (of_member is not None and of_member < room) else room


def left_on(day: date, *, policy: KeyPolicy, key: KeyCounter) -> Decimal | None:
    """What the caps leave to a request that was counted on `day`, in USD; None where there are none."""
    rooms = key.rooms(policy.caps, counted_on=day)
    if key.member is not None:
        rooms += key.member.rooms(policy.member_caps, counted_on=day)
    return min(rooms, default=None)


_METERS = (
    "SELECT k.key_id, k.customer_id, k.version, k.active, k.slot, k.slots,"
    f" {', '.join(f'k.{name}' for name in COLUMNS)},"
    " c.customer_id, c.version, c.suspended, c.slot, c.slots, c.by_model,"
    f" b.membership_id, {', '.join(f'b.{name}' for name in COLUMNS)}, clock_timestamp()"
    " FROM accounts_keymeter k JOIN accounts_customermeter c ON c.customer_id = k.customer_id"
    " LEFT JOIN accounts_membermeter b ON b.membership_id = k.member_id"
)
READ_METERS = f"{_METERS} WHERE k.key_id = ANY(%s)"
READ_METERS_OF_ONE = f"{_METERS} WHERE k.key_id = %s"
_OF_CUSTOMER = slice(6 + len(COLUMNS), 12 + len(COLUMNS))
_OF_MEMBER = slice(12 + len(COLUMNS), 13 + 2 * len(COLUMNS))
_SPENT = (
    f"day = d.day, {', '.join(f'{name} = d.{name}' for name in SPENT)},"
    " day_charged = CASE WHEN m.day >= d.day THEN m.day_charged ELSE 0 END,"
    " week_charged = CASE WHEN m.day >= d.week THEN m.week_charged ELSE 0 END,"
    " month_charged = CASE WHEN m.day >= d.month THEN m.month_charged ELSE 0 END"
)
"""As `Spending.row` has them; what was charged in a period that is over is no longer."""
_DAYS, _AMOUNTS = ("day", "week", "month"), ", ".join(SPENT)
_KEY_METER = (
    f"UPDATE accounts_keymeter m SET slot = d.slot, slots = d.slots::int[], {_SPENT}, last_used_at = %s FROM {{rows}}"
    f" AS d(key_id, slot, slots, {', '.join(_DAYS)}, {_AMOUNTS}) WHERE m.key_id = d.key_id"
)
WRITE_KEY_METERS = _KEY_METER.format(
    rows="unnest(%s::bigint[], %s::bigint[], %s::text[], %s::date[], %s::date[], %s::date[],"
    " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])"
)
WRITE_ONE_KEY_METER = _KEY_METER.format(
    rows="(SELECT %s::bigint, %s::bigint, %s::text, %s::date, %s::date, %s::date,"
    " %s::numeric, %s::numeric, %s::numeric, %s::numeric)"
)
_MEMBER_METER = (
    f"UPDATE accounts_membermeter m SET {_SPENT} FROM {{rows}}"
    f" AS d(membership_id, {', '.join(_DAYS)}, {_AMOUNTS}) WHERE m.membership_id = d.membership_id"
)
WRITE_MEMBER_METERS = _MEMBER_METER.format(
    rows="unnest(%s::bigint[], %s::date[], %s::date[], %s::date[],"
    " %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[])"
)
WRITE_ONE_MEMBER_METER = _MEMBER_METER.format(
    rows="(SELECT %s::bigint, %s::date, %s::date, %s::date, %s::numeric, %s::numeric, %s::numeric, %s::numeric)"
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
    members: dict[int, MemberCounter] = {}
    for row in rows:
        member = None
        if (member_id := row[_OF_MEMBER.start]) is not None:
            member = members.get(member_id) or members.setdefault(member_id, MemberCounter(row[_OF_MEMBER]))
        keys[row[0]] = KeyCounter(row, member)
        if row[_OF_CUSTOMER.start] not in customers:
            customers[row[_OF_CUSTOMER.start]] = CustomerCounter(row[_OF_CUSTOMER])
    return keys, customers


def writes(
    keys: Iterable[KeyCounter], customers: Iterable[CustomerCounter], *, now: datetime
) -> list[tuple[str, Sequence[Any]]]:
    """The statements, each with its parameters, that write what was counted; none for what was not."""
    statements: list[tuple[str, Sequence[Any]]] = []
    counted = [key for key in keys if key.changed]
    rows = [(key.key_id, key.rate.slot, array(key.rate.slots), *key.row) for key in counted]
    if len(rows) == 1:
        statements.append((WRITE_ONE_KEY_METER, (now, *rows[0])))
    elif rows:
        statements.append((WRITE_KEY_METERS, (now, *columns(rows))))
    members = {key.member.member_id: key.member for key in counted if key.member is not None and key.member.changed}
    of_members = [(member_id, *member.row) for member_id, member in members.items()]
    if len(of_members) == 1:
        statements.append((WRITE_ONE_MEMBER_METER, of_members[0]))
    elif of_members:
        statements.append((WRITE_MEMBER_METERS, columns(of_members)))
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
