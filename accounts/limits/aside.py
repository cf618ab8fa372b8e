"""What is set aside with a key counts as held, within its caps as any request's hold does, until it is given back."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from django.db import connection

from accounts.limits import meters
from accounts.limits.meters import CustomerCounter, KeyCounter, LimitReached, MemberCounter
from accounts.limits.policy import READ_POLICIES, policy_from_row
from accounts.limits.slots import SLOTS, slot_of
from accounts.limits.spending import COLUMNS
from accounts.models import ApiKey, KeyMeter, MemberMeter


def count(*, key: ApiKey, amount: Decimal, now: datetime) -> date | LimitReached:
    """Count `amount` USD as held with the key; the day on which it counts, or the cap that it would break and where
    nothing is counted.

    The caller holds the lock of its customer's wallet. `accounts.limits.correcting` gives it back.
    """
    with connection.cursor() as cursor:
        cursor.execute(READ_POLICIES, [[key.sha256]])
        [row] = cursor.fetchall()
        _, policy = policy_from_row(row, asked_at=0, default_rpm=0, default_customer_rpm=0)
        policy = replace(policy, rpm=0, customer_rpm=0, at_once=None)
        counter = _counter(key)
        customer = CustomerCounter([key.customer_id, 1, False, 0, [0] * SLOTS, {}])  # no rate is looked at
        reached = meters.check(
            policy=policy, key=counter, customer=customer, model="", model_rpm=0, hold=amount, now=now
        )
        if reached is not None:
            return reached
        day = counter.hold(policy, slot=slot_of(now), today=meters.today_of(policy, now), held=amount)
        for statement, parameters in meters.writes([counter], [], now=now):
            cursor.execute(statement, parameters)
    return day


def _counter(key: ApiKey) -> KeyCounter:
    meter = KeyMeter.objects.get(key=key)
    member = MemberMeter.objects.filter(pk=meter.member_id).first()
    of_member = None if member is None else MemberCounter([member.pk, *(getattr(member, name) for name in COLUMNS)])
    sums = [getattr(meter, name) for name in COLUMNS]
    return KeyCounter([key.pk, key.customer_id, meter.version, meter.active, meter.slot, meter.slots, *sums], of_member)
