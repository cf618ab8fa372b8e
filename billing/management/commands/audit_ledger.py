"""`audit_ledger`: compare wallets, holds and settled requests with the transfers; exit 1 on any drift."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Membership
from billing.audit import audit


class Command(BaseCommand):
    help = "Compare every cached or derived figure with the rows it follows from; exit 1 on any drift."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--customer", metavar="EMAIL", help="only the customers of this member")
        parser.add_argument("--full", action="store_true", help="recompute everything (what it does now in any case)")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = None
        if options["customer"]:
            email = options["customer"].strip().lower()
            wanted = list(Membership.objects.filter(user__email=email).values_list("customer_id", flat=True))
            if not wanted:
                raise CommandError(f"There is no customer with the member {email}.")
        report = audit(customer_ids=wanted)
        for drift in report.drifts:
            self.stdout.write(drift)
        if report.drifts:
            raise CommandError(f"{report.customers} customers audited: {len(report.drifts)} drifts.", returncode=1)
        self.stdout.write(f"{report.customers} customers audited: clean.")
