"""A gateway process's lease: as long as it is renewed, no sweeper touches the holds of its requests."""

import os
import socket
from datetime import datetime, timedelta

from proxy.models import Lease

RENEW_SECONDS = 5.0
LOST_AFTER_SECONDS = 45.0
"""A process that could not renew for so long gives its requests up; the sweeper waits 15 s longer."""
SWEPT_AFTER = timedelta(seconds=60)


def take(*, now: datetime) -> int:
    return Lease.objects.create(started_at=now, renewed_at=now, host=_host()).pk


def renew(lease_id: int, *, now: datetime) -> None:
    """Renew, or take again what a sweeper took for dead."""
    if not Lease.objects.filter(pk=lease_id).update(renewed_at=now):
        Lease.objects.create(pk=lease_id, started_at=now, renewed_at=now, host=_host())


def _host() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def give_back(lease_id: int) -> None:
    """Nothing of this process is in flight any more: let the sweeper look at once."""
    Lease.objects.filter(pk=lease_id).delete()
