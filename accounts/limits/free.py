"""What free paths ask before each request, as nothing is held there: whether key and customer may still call at all,
and a rate of their own.

They count apart from what is paid for, at ten times the rate of the key and of the customer: an agent asks dozens at
once.
"""

from django.db import connection

from accounts.limits.policy import KeyPolicy
from accounts.limits.rates import Standing, count
from core.records import value

TIMES = 10
_READ = (
    "SELECT k.version, c.version, k.active, c.suspended FROM accounts_keymeter k"
    " JOIN accounts_customermeter c ON c.customer_id = k.customer_id WHERE k.key_id = %s"
)


@value
class FreeStanding:
    """As of now. `rate` is None where nothing was counted: no rate is set, or the key or the customer may not call."""

    is_known: bool
    """The policy is that of today: neither the key nor its customer has changed since."""
    is_active: bool
    is_suspended: bool
    rate: Standing | None = None


def count_free(policy: KeyPolicy) -> FreeStanding:
    """Count a request of a free path, unless it may not be made or one of its rates is full."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [policy.key_id])
        row = cursor.fetchone()
    if row is None:
        return FreeStanding(is_known=False, is_active=False, is_suspended=False)
    version, customer_version, is_active, is_suspended = row
    is_known = (version, customer_version) == (policy.version, policy.customer_version)
    if not is_known or not is_active or is_suspended:
        return FreeStanding(is_known, is_active, is_suspended)
    limits = {f"free-key:{policy.key_id}": policy.rpm, f"free-customer:{policy.customer_id}": policy.customer_rpm}
    most = {who: TIMES * limit for who, limit in limits.items() if limit}
    return FreeStanding(is_known, is_active, is_suspended, count(most))
