"""The caps of members: what all keys that a member made may spend together.

A member's meter is there while the member has a cap. It is filled from the meters of the member's keys, which count
always, under the wallet's lock: what was spent before in a period counts in it, and nothing is counted in between.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from accounts.limits.periods import begins, zone_of
from accounts.limits.spending import CHARGED, COLUMNS, SPENT
from accounts.models import MemberMeter, Membership, User
from accounts.models.caps import CAPS
from accounts.models.children import counts_itself
from accounts.people import team
from billing.books.ledger import lock_wallets

_OWN_KEYS = (
    " FROM accounts_keymeter k JOIN accounts_apikey a ON a.id = k.key_id"
    f" WHERE a.customer_id = %s AND a.created_by_id = %s AND {counts_itself('a.id')}"
)
_LAST_DAY = f"SELECT max(k.day){_OWN_KEYS}"
_SUMS = ", ".join(f"coalesce(sum(k.{name}) FILTER (WHERE k.day >= %s), 0)" for name in (*SPENT, *CHARGED))
_FILL = (
    f"INSERT INTO accounts_membermeter (membership_id, customer_id, {', '.join(COLUMNS)})"
    f" SELECT %s, %s, %s, {_SUMS}{_OWN_KEYS} ON CONFLICT (membership_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS)
)


def set_caps(
    *, membership: Membership, caps: Mapping[str, Decimal | None], now: datetime, by: User | None = None
) -> None:
    """Set the caps that are named (`daily_limit` and so on, USD, None for none); it counts from the next request on.

    None is the operator. Raises `TeamError` for who has lost the right meanwhile, and for who is no longer a member.
    """
    if unknown := set(caps) - set(CAPS):
        raise ValueError(f"no caps: {sorted(unknown)}")
    with transaction.atomic():
        customer = team.lock(membership.customer)
        team.check_may(customer, by)
        if not Membership.objects.filter(pk=membership.pk).update(**caps):
            raise team.no_such_member()
        membership.refresh_from_db(fields=CAPS)
        fill(membership=membership, now=now)


def fill(*, membership: Membership, now: datetime) -> None:
    """Count anew what the member's keys spent; also after a key became the member's, or is no longer."""
    with transaction.atomic():
        lock_wallets([membership.customer_id])
        if all(getattr(membership, name) is None for name in CAPS):
            MemberMeter.objects.filter(pk=membership.pk).delete()
            return
        whose = [membership.customer_id, membership.user_id]
        today = now.astimezone(zone_of(membership.customer.time_zone)).date()
        with connection.cursor() as cursor:
            cursor.execute(_LAST_DAY, whose)
            [last] = cursor.fetchone()
            day = max(today, last or today)
            cursor.execute(_FILL, [membership.pk, membership.customer_id, day, *begins(day), *begins(day), *whose])
