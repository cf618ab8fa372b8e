"""What there is to do with bills: those that wait are read, those that were read are compared."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import BinaryIO

from django.db import DatabaseError, connection
from django.db.models import Q

from proxy.bills import comparing, storing
from proxy.bills.reading import BillError
from proxy.bills.requests import NoRate
from proxy.models import UpstreamBill

log = logging.getLogger(__name__)
State = UpstreamBill.State


class Busy(LookupError):
    """Somebody else has the bill at this moment."""


def finish(bill: UpstreamBill, file: BinaryIO | None = None, *, now: datetime) -> int:
    """Read and compare a bill, whatever was done of it before; return how many differences are open.

    Raises `BillError`, and the bill is refused then, `NoRate`, and `Busy` while somebody else does the same.
    """
    with _alone(bill):
        bill.refresh_from_db()
        storing.take(bill, file)
        return comparing.compare(bill, now=now)


@contextmanager
def _alone(bill: UpstreamBill) -> Iterator[None]:
    """No other process has this bill meanwhile; one that dies lets it go with its connection."""
    lock = [f"bill:{bill.pk}"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", lock)
        [is_mine] = cursor.fetchone()
    if not is_mine:
        raise Busy(f"{bill} is being read by somebody else")
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", lock)


def finish_all(*, now: datetime) -> int:
    """Finish what was uploaded, each bill on its own; return how many were.

    One that fails says so on its row, and keeps none behind it waiting.
    """
    done = 0
    kept = Q(state=State.WAITING, raw__isnull=False)
    for pk in list(UpstreamBill.objects.filter(kept | Q(state=State.READ)).order_by("pk").values_list("pk", flat=True)):
        bill = UpstreamBill.objects.select_related("upstream").get(pk=pk)
        try:
            finish(bill, now=now)
            done += 1
        except BillError as error:
            log.warning("%s was refused: %s", bill, error)
        except NoRate as error:
            log.warning("%s waits: %s", bill, error)
            storing.note_problem(bill, str(error))
        except Busy:
            continue
        except Exception as error:
            log.exception("%s could not be finished", bill)
            storing.note_problem(bill, f"{type(error).__name__}: {error}")
    return done
