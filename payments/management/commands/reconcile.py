"""`reconcile --provider P --date D`: fetch one day's statement again and match it with the books."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from billing import books
from billing.money import ZERO
from payments import reconcile
from payments.models import Method
from payments.providers import registry
from payments.providers.base import ProviderError


class Command(BaseCommand):
    help = "Do one provider's day again, changing nothing that was right; exit 1 when something does not fit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", required=True, choices=Method.values)
        parser.add_argument("--date", required=True, help="2026-11-22; UTC for Stripe, else Asia/Shanghai")

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
            sums = f"theirs {row.theirs}, ours {row.ours} {row.currency}"
            self.stdout.write(f"  {row.get_kind_display()}: {row.key}, {sums} {row.detail}")
        if result.cured:
            self.stdout.write(f"  {result.cured} differences are cured")
        for (name, currency), theirs in sorted(reconcile.statement_balances().items()):
            if name == provider:
                account = f"clearing:{name}:{currency}"
                ours = -sum((b.amount for b in books.house_balances(account)), ZERO)
                self.stdout.write(f"  {account}: statements so far {theirs:f}, books {ours:f}")
        if result.open:
            raise CommandError(f"{len(result.open)} differences")
