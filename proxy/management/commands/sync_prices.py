"""`sync_prices`: take models and prices over from genai-prices' list; without `--apply` only say what would change."""

from importlib.metadata import version
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from billing.requests.proposals import ProposalError
from proxy.prices.listed.sync import Asked, Change, Plan, SyncError, sync
from proxy.prices.written import InvalidCatalog


class Command(BaseCommand):
    help = "Compare prices with the list of genai-prices; with --apply take it over. Exit 1 if that cannot be done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="write what differs; without it nothing is written")
        parser.add_argument("--by", metavar="EMAIL", help="of finance: who proposes what needs a second person")
        parser.add_argument(
            "--only", action="append", default=[], metavar="MODEL", help="such as 'openai/*'; repeatable"
        )
        parser.add_argument(
            "--adopt", action="append", default=[], metavar="MODEL", help="have prices by hand follow the list too"
        )
        parser.add_argument("--add", action="append", default=[], metavar="MODEL", help="models of the list to offer")
        parser.add_argument("--upstream", default="", metavar="NAME", help="where the added ones go")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["add"]) != bool(options["upstream"]):
            raise CommandError("--add and --upstream go together.")
        by = self._proposer(options["by"])
        named = {name: tuple(options[name]) for name in ("only", "adopt", "add")}
        asked = Asked(limit=settings.PRICE_JUMP, upstream=options["upstream"], **named)
        source = f"genai-prices {version('genai-prices')}"
        try:
            plan = sync(asked, applies=options["apply"], by=by, reason=f"The list of {source}")
        except (SyncError, InvalidCatalog, ProposalError) as error:
            raise CommandError(f"{error}. Nothing was changed.") from None
        self.stdout.write(f"{source}, USD before the margin")
        self._tell(plan)
        if not plan.writes:
            self.stdout.write("Nothing to do.")
        elif not options["apply"]:
            self.stdout.write("Nothing was written: --apply does it.")
        else:
            self.stdout.write("Written.")

    def _proposer(self, email: str | None) -> User | None:
        if not email:
            return None
        found = User.objects.filter(email=email.strip().lower(), is_active=True, is_staff=True).first()
        if found is None:
            raise CommandError(f"--by {email}: there is nobody of staff with this address.")
        return found

    def _tell(self, plan: Plan) -> None:
        for item, info in plan.added:
            rates = ", ".join(f"{name} {rate}" for name, rate in item["price"][0].items() if isinstance(rate, str))
            self.stdout.write(
                f"{item['id']}: new, at {item['upstreams'][0]}{', deprecated' if info.deprecated else ''}: {rates}"
            )
        for change in plan.changes:
            self._change(change, "")
        for change in plan.adopted:
            self.stdout.write(f"{change.model.slug}: at the list's price already, follows {change.listed}")
        jump = f"{(settings.PRICE_JUMP * 100).normalize():f}"
        for change in plan.proposed:
            self._change(change, f": by more than {jump} %, so a second of finance confirms it at the desk")
        for change in plan.waiting:
            self._change(change, ": waits at the desk for a second of finance")
        for change, proposal in plan.refused:
            self._change(change, f": kept, as {proposal.decided_by} refused it: {proposal.decision}")
        for change in plan.kept:
            self._change(change, ": kept, as the price is by hand; --adopt has it follow the list")
        for proposal in plan.outdated:
            self.stdout.write(f"{proposal.model}: what was proposed is outdated and closed")
        for model in plan.deprecated:
            self.stdout.write(f"{model}: deprecated by its provider")
        for model in plan.retired:
            self.stdout.write(f"{model}: retired, the list has no {model.listed_as} any more")
        if plan.unlisted:
            self.stdout.write(f"without a price in the list: {', '.join(plan.unlisted)}")
        self.stdout.write(
            f"{len(plan.added)} new, {len(plan.changes)} changed, {len(plan.proposed) + len(plan.waiting)} to confirm,"
            f" {len(plan.kept) + len(plan.refused)} kept, {len(plan.same) + len(plan.adopted)} the same"
        )

    def _change(self, change: Change, remark: str) -> None:
        model = change.model.slug
        listed = "" if change.listed == model else f" (in the list: {change.listed})"
        self.stdout.write(f"{model}{listed}{remark}")
        for at, found in change.steps:
            if at is not None:
                self.stdout.write(f"  from {at:%Y-%m-%d} on")
            for difference in found:
                self.stdout.write(f"  {difference}")
            if not found:
                self.stdout.write("  written anew, to the same effect")
