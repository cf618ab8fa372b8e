"""`grant --email E --amount A --reason R`: give bonus; with `--key` once."""

import secrets
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import Membership
from billing.books.grants import grant_bonus
from billing.books.ledger import TransferConflict
from billing.books.money import InvalidAmount, usd


class Command(BaseCommand):
    help = "Grant bonus to a customer, found by a member's email."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--amount", required=True, help="USD")
        parser.add_argument("--reason", required=True)
        parser.add_argument(
            "--ends", help="what is left is taken back then: 2027-01-31 (its first moment, UTC) or a time"
        )
        parser.add_argument("--key", help="the same key grants once")

    def handle(self, *args: Any, **options: Any) -> None:
        member = Membership.objects.filter(user__email=options["email"].strip().lower()).order_by("id").first()
        if member is None:
            raise CommandError(f"There is no customer with the member {options['email']}.")
        try:
            amount = usd(options["amount"])
        except InvalidAmount as error:
            raise CommandError(f"--amount: {error}.") from None
        if amount <= 0:
            raise CommandError("--amount must be more than 0.")
        now = timezone.now()
        ends_at = _moment(options["ends"], now=now)
        key = f"grant:{member.customer_id}:{(options['key'] or secrets.token_hex(8))[:80]}"
        try:
            grant_bonus(
                customer=member.customer,
                amount=amount,
                key=key,
                reason=options["reason"],
                now=now,
                ends_at=ends_at,
            )
        except TransferConflict:
            words = f"--key {options['key']} granted another amount, or until another day, before; nothing was changed."
            raise CommandError(words) from None
        until = f", until {ends_at:%Y-%m-%d %H:%M} UTC" if ends_at else ""
        self.stdout.write(f"{options['email']} has ${amount} of bonus from {key}{until}.")


def _moment(text: str | None, *, now: datetime) -> datetime | None:
    """A day or a time in ISO 8601, in UTC where it names no zone; None where none is given."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError("--ends: write a day such as 2027-01-31, or a time in ISO 8601.") from None
    moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    if moment <= now:
        raise CommandError("--ends is over already.")
    return moment
