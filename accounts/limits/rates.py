"""Rates of the account API: requests a minute of a key, a customer and an address, and unknown keys an address names;
and the console's forms that a person sends.

Counted like the gateway's, in five-second slots under a row's lock, so that any number of processes agree. The rows
are no accounts of anybody: a crash of PostgreSQL may empty the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from accounts.limits.slots import SLOTS, Rate, slot_of
from accounts.models import ApiKey, User
from core.addresses import origin
from core.crypto import keyed_hash

GUESSES_PER_MINUTE = 120
"""Unknown keys that one address may name, as at the gateway."""
FORMS_PER_MINUTE = 60
"""Forms of the console, all of them together, that one person may send: a form a second is no person."""
WORDS = {
    "key": "This key may make {limit} requests per minute.",
    "customer": "This account may make {limit} requests per minute.",
    "address": "Your address may make {limit} requests per minute.",
    "guesses": "Too many unknown API keys.",
    "forms": "You may send {limit} forms per minute.",
    "free-key": "This key may make {limit} free requests per minute.",
    "free-customer": "This account may make {limit} free requests per minute.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the narrowest rate stands: requests a minute, how many are left, and seconds until it is whole again.

    `refusal` says why there was no room for this request; `reset` is then the seconds until there is.
    """

    limit: int
    remaining: int
    reset: int
    refusal: str = ""

    @property
    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset),
        }


def count_request(*, key: ApiKey, address: str, now: datetime | None = None) -> Standing | None:
    """Count a request of a key, unless one of its rates is full; None where no rate is set.

    `now` is PostgreSQL's, unless given.
    """
    limits = {
        f"key:{key.pk}": settings.API_KEY_RPM,
        f"customer:{key.customer_id}": settings.API_CUSTOMER_RPM,
        f"address:{_hashed(address)}": settings.API_ADDRESS_RPM,
    }
    return count({who: limit for who, limit in limits.items() if limit}, now=now)


def count_guess(*, address: str) -> Standing | None:
    """Count an unknown key that an address named."""
    return count({f"guesses:{_hashed(address)}": GUESSES_PER_MINUTE})


def count_form(*, user: User, now: datetime | None = None) -> Standing | None:
    """Count a form that a person sent, unless there is no room for it; `now` is PostgreSQL's, unless given."""
    return count({f"forms:{user.pk}": FORMS_PER_MINUTE}, now=now)


def _hashed(address: str) -> str:
    return keyed_hash(origin(address), purpose="rate")[:32]


_READ = (
    "SELECT who, slot, slots, statement_timestamp() FROM accounts_apirate WHERE who = ANY(%s) ORDER BY who FOR UPDATE"
)
_ADD = (
    "INSERT INTO accounts_apirate (who, slot, slots) SELECT unnest(%s::text[]), 0, array_fill(0, ARRAY[13])"
    " ON CONFLICT DO NOTHING"
)
_WRITE = "UPDATE accounts_apirate SET slot = %s, slots = %s WHERE who = %s"
FORGET = "DELETE FROM accounts_apirate WHERE slot < %s"


def count(limits: Mapping[str, int], *, now: datetime | None = None) -> Standing | None:
    """Count a request of all these, each with its limit a minute, or of none where one is full; None without limits."""
    names = sorted(limits)
    while names:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_READ, [names])
            rows = cursor.fetchall()
            if len(rows) == len(names):
                rates = {who: Rate(slot, slots) for who, slot, slots, _ in rows}
                return _take(cursor, rates, limits, slot=slot_of(now or rows[0][3]))
        with connection.cursor() as cursor:
            # Not in the transaction that locks: rows are locked in the order of their names alone.
            cursor.execute(_ADD, [names])
    return None


def _take(cursor: Any, rates: Mapping[str, Rate], limits: Mapping[str, int], *, slot: int) -> Standing:
    """Count in all of them, or in none where one is full."""
    for who, rate in rates.items():
        if rate.at(slot) >= limits[who]:
            wait = rate.seconds_until_free(slot, limit=limits[who])
            text = WORDS[who.partition(":")[0]].format(limit=limits[who])
            return Standing(limits[who], 0, wait, f"{text} Try again in {wait} seconds.")
    for who, rate in rates.items():
        rate.count(slot)
        cursor.execute(_WRITE, [rate.slot, rate.slots, who])
    left = {who: limits[who] - rate.at(slot) for who, rate in rates.items()}
    narrowest = min(left, key=lambda who: left[who])
    return Standing(limits[narrowest], left[narrowest], rates[narrowest].seconds_until_free(slot, limit=1))


def forget(*, now: datetime) -> None:
    """Throw away what no window reaches back to."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [slot_of(now) - SLOTS])
