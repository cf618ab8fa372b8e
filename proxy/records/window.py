"""Which ids the requests have that were charged on some days: ids are ordered by when a request was made."""

from datetime import datetime, timedelta

from accounts.limits.periods import start_of, zone_of
from accounts.models import Customer
from proxy.ids import first_id_of
from proxy.records.sums import Chosen

LATE = timedelta(days=1)
"""What took longer than this from its making to its charge has an index of its own (generation_late)."""
SLACK = timedelta(hours=28)
"""A day may have been one of another zone, and gateways' clocks are minutes apart."""


class Window:
    """The days' first and last moment in UTC, by the account's zone; and ids between which all of them lie that were
    not charged `LATE`.
    """

    def __init__(self, customer: Customer, of: Chosen) -> None:
        zone = zone_of(customer.time_zone)
        self.opens: datetime = start_of(of.first, zone=zone)
        self.closes: datetime = start_of(of.last + timedelta(days=1), zone=zone)
        self.first_id = first_id_of(self.opens - LATE - SLACK)
        self.end_id = first_id_of(self.closes + SLACK)
