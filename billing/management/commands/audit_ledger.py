"""`audit_ledger`: compare wallets, holds and what the apps register with the transfers; exit 1 on any drift."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Membership
from billing.audit.run import audit


class Command(BaseCommand):
    help = "Compare every cached or derived figure with the rows it follows from; exit 1 on any drift."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--customer", metavar="EMAIL", help="only the customers that this person is a member of")
        parser.add_argument(
            "--full", action="store_true", help="recompute everything from the first row on, as is done in any case"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = None
        if options["customer"]:
            email = options["customer"].strip().lower()
            members = Membership.objects.filter(user__email=email).order_by("customer_id")
            wanted = list(members.values_list("customer_id", flat=True))
            if not wanted:
                raise CommandError(f"There is no customer with the member {email}.")
        report = audit(customer_ids=wanted, tell=self.stdout.write)
        summary = f"audited {report.customers} customer{'' if report.customers == 1 else 's'}: "
        if report.drifts:
            raise CommandError(f"{summary}{len(report.drifts)} drift{'' if len(report.drifts) == 1 else 's'}")
        self.stdout.write(f"{summary}clean")
