"""`reconcile --provider P --date D`: fetch one day's statement again and match it with the books."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing.books import chart
from billing.books.money import shown
from payments.models import Method
from payments.providers import registry
from payments.providers.base import ProviderError
from payments.statements import clearing, reconcile


class Command(BaseCommand):
    help = "Do one provider's day again, changing nothing that was right; exit 1 when something does not fit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", required=True, choices=Method.values)
        zones = ", ".join(f"{zone} for {code}" for code, zone in reconcile.ZONES.items())
        parser.add_argument("--date", required=True, help=f"2026-11-22; {zones}")

    def handle(self, *args: Any, **options: Any) -> None:
        provider, now = options["provider"], timezone.now()
        try:
            day = date.fromisoformat(options["date"])
        except ValueError:
            raise CommandError(f"{options['date']!r} is not a day such as 2026-11-22.") from None
        if day > now.astimezone(reconcile.ZONES[provider]).date():
            raise CommandError(f"{day} has not come yet.")
        if provider not in registry.providers():
            raise CommandError(f"{provider} is switched off.")
        try:
            result = reconcile.reconcile(provider=provider, day=day, now=now)
        except ProviderError as error:
            raise CommandError(f"There is no statement of {provider} for {day}: {error}") from None
        self.stdout.write(f"{provider} {day}: {result.lines} lines, {result.posted} fees and payouts in the books")
        for row in result.open:
            sums = ", ".join(
                f"{whose} {shown(amount, currency=row.currency) if amount is not None else '-'}"
                for whose, amount in (("theirs", row.theirs), ("ours", row.ours))
            )
            self.stdout.write(f"  {row.get_kind_display()}: {row.key}, {sums} {row.detail}")
        if result.cured:
            self.stdout.write(f"  {result.cured} differences are cured")
        for account in clearing.accounts():
            if account.name.startswith(chart.clearing(provider, "")):
                self.stdout.write(f"  {account.in_words}")
        if result.open:
            raise CommandError(f"{len(result.open)} differences")
