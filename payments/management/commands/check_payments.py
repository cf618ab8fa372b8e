"""`check_payments`: is each provider that is on set up right, and what belongs in its console."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from payments.models import Method
from payments.providers import checks, registry


class Command(BaseCommand):
    help = "Check keys, the provider's answer and our public address; say what to paste where. Exit 1 if one is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", choices=Method.values, help="this one alone")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = [options["provider"]] if options["provider"] else list(Method.values)
        wrong = 0
        for code in wanted:
            if code not in registry.providers():
                self.stdout.write(f"{code}: off. To use it set {', '.join(registry.SPECS[code].required)}.")
                continue
            found = checks.check(provider=code)
            self.stdout.write(f"{code}:")
            for sentence in found.right:
                self.stdout.write(f"  ok     {sentence}")
            for sentence in found.wrong:
                self.stdout.write(f"  WRONG  {sentence}")
            self.stdout.write("  In the provider's console:")
            for line in found.to_paste:
                self.stdout.write(f"    {line}")
            wrong += len(found.wrong)
        if wrong:
            raise CommandError(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")
