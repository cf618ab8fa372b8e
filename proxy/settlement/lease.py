"""A gateway process's lease: as long as it is renewed, no sweeper touches the holds of its requests.

Stamped and judged by PostgreSQL's clock, as the clocks of a gateway and of a settler may be minutes apart.
docs/gateway.md, "Leases".
"""

import os
import socket
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from proxy.models import Lease

RENEW_SECONDS = 5.0
LOST_AFTER_SECONDS = 45.0
"""A process that could not renew for so long gives its requests up; the sweeper waits 15 s longer."""
SWEPT_AFTER = timedelta(seconds=60)
LIVE_WITHIN = timedelta(seconds=15)
"""Who has not renewed for so long takes no part any more in what gateways share."""


def take() -> int:
    return Lease.objects.create(started_at=Now(), renewed_at=Now(), host=_host()).pk


def live() -> int:
    """How many gateways there are, this one with them."""
    return max(1, Lease.objects.filter(renewed_at__gt=Now() - LIVE_WITHIN).count())


def renew(lease_id: int) -> None:
    """Renew, or take again what a sweeper took for dead and threw away."""
    if not Lease.objects.filter(pk=lease_id).update(renewed_at=Now()):
        Lease.objects.create(pk=lease_id, started_at=Now(), renewed_at=Now(), swept_at=Now(), host=_host())


def alive() -> Q:
    """Which leases are not to be swept."""
    return Q(renewed_at__gt=Now() - SWEPT_AFTER)


def _host() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def give_back(lease_id: int) -> None:
    """Nothing of this process is in flight any more: let the sweeper look at once."""
    Lease.objects.filter(pk=lease_id).delete()
