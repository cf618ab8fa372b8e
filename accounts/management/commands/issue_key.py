"""`issue_key --email E --name N`: print a new API key alone on the last line."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.keys import issuing
from accounts.keys.policies import InvalidPolicy, model_names, networks
from accounts.models import Membership
from accounts.roles import ALL_SCOPES


class Command(BaseCommand):
    help = "Issue an API key for a customer, found by a member's email; the key stands alone on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--rpm", type=int, help="requests per minute; 0: no limit")
        parser.add_argument("--daily-limit", help="USD a day")
        parser.add_argument("--weekly-limit", help="USD a week")
        parser.add_argument("--monthly-limit", help="USD a month")
        parser.add_argument("--total-limit", help="USD in all")
        parser.add_argument("--concurrency", type=int, help="requests at once")
        parser.add_argument("--models", help="model ids, separated by commas")
        parser.add_argument("--ips", help="addresses or CIDR networks, separated by commas")
        parser.add_argument(
            "--scopes", help="of inference, read, keys and billing, separated by commas; all if not named"
        )
        parser.add_argument("--expires", help="a date or a time such as 2027-01-31T12:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        member = Membership.objects.filter(user__email=options["email"].strip().lower()).order_by("id").first()
        if member is None:
            raise CommandError(f"There is no customer with the member {options['email']}; see create_customer.")
        if options["rpm"] is not None and not 0 <= options["rpm"] < 2**31:
            raise CommandError("--rpm must be 0 or more.")
        if options["concurrency"] is not None and not 1 <= options["concurrency"] < 2**31:
            raise CommandError("--concurrency must be 1 or more.")
        now = timezone.now()
        try:
            issued = issuing.issue(
                customer=member.customer,
                name=options["name"][:100],
                now=now,
                rpm_limit=options["rpm"],
                daily_limit=_amount(options["daily_limit"], "--daily-limit"),
                weekly_limit=_amount(options["weekly_limit"], "--weekly-limit"),
                monthly_limit=_amount(options["monthly_limit"], "--monthly-limit"),
                total_limit=_amount(options["total_limit"], "--total-limit"),
                concurrency_limit=options["concurrency"],
                allowed_models=_checked(model_names, options["models"], "--models"),
                allowed_ips=_checked(networks, options["ips"], "--ips"),
                expires_at=_moment(options["expires"], now=now),
                scopes=_scopes(options["scopes"]),
            )
        except issuing.TooManyKeys as error:
            raise CommandError(str(error)) from None
        self.stdout.write(issued.text)


def _items(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def _checked(check: Callable[[Sequence[str]], list[str]], text: str | None, option: str) -> list[str]:
    try:
        return check(_items(text))
    except InvalidPolicy as error:
        raise CommandError(f"{option}: {error}") from None


def _scopes(text: str | None) -> list[str] | None:
    if text is None:
        return None
    named = _items(text)
    if not named or (unknown := [item for item in named if item not in ALL_SCOPES]):
        raise CommandError(f"--scopes takes {', '.join(ALL_SCOPES)}, not {(unknown if named else [text])[0]!r}.")
    return list(dict.fromkeys(named))


def _amount(text: str | None, option: str) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{option} must be an amount in USD, not {text!r}.") from None
    if not amount.is_finite() or not 0 <= amount < 10**9 or amount != round(amount, 8):
        raise CommandError(f"{option} must be an amount of at most 8 decimals, not {text!r}.")
    return amount


def _moment(text: str | None, *, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
        day = parse_date(text) if moment is None else None
    except ValueError:
        moment = day = None
    if day is not None:
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if moment is None:
        raise CommandError(f"--expires must be a date or a time, not {text!r}.")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment <= now:
        raise CommandError("--expires must lie in the future.")
    return moment
