"""What owners want to be warned of: set, looked at, and kept where it is judged."""

from datetime import date, datetime
from decimal import Decimal

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.limits.periods import zone_of
from accounts.models import AccountMeter, Customer, CustomerMeter, User
from accounts.models.children import counts_itself
from billing.books.ledger import lock_wallets, mark_low, warn_below
from billing.books.money import ZERO, InvalidAmount, cents_as_written
from billing.levels import level_of
from billing.models import AlertSettings, Wallet
from billing.warnings import low, notices, weekly
from core.records import value

MOST = Decimal(1_000_000)
_MONTH = (
    "INSERT INTO accounts_accountmeter (customer_id, month, charged)"
    " SELECT %s, x.month, coalesce(sum(k.month_charged) FILTER (WHERE k.day >= x.month), 0) FROM ("
    "SELECT greatest(%s::date, date_trunc('month', max(day))::date) AS month FROM accounts_keymeter"
    f" WHERE customer_id = %s) x LEFT JOIN accounts_keymeter k ON k.customer_id = %s AND {counts_itself('k.key_id')}"
    " GROUP BY x.month ON CONFLICT (customer_id) DO NOTHING"
)
"""What the account was charged in its month so far, of the keys that count by themselves."""


class AlertError(Exception):
    """What cannot be set; `field` says which."""

    def __init__(self, text: str, *, field: str) -> None:
        super().__init__(text)
        self.field = field


@value
class Wanted:
    """Amounts in USD, None for none."""

    low_balance: Decimal | None = None
    monthly_budget: Decimal | None = None
    caps: bool = False
    weekly_summary: bool = False


def amount(text: object, *, field: str) -> Decimal | None:
    """USD with at most two decimals; raises `AlertError`. Nothing is None."""
    if text is None or text == "":
        return None
    try:
        found = cents_as_written(text)
    except InvalidAmount:
        found = ZERO
    if not ZERO < found <= MOST:
        words = _("An amount in USD above 0 with at most two decimals, such as 20.00, up to %(most)s.")
        raise AlertError(words % {"most": f"{MOST:,.2f}"}, field=field)
    return found


def current(customer: Customer) -> AlertSettings:
    """As they are set; where nothing ever was, a row that is not stored."""
    row = AlertSettings.objects.filter(pk=customer.pk).first()
    return row or AlertSettings(customer=customer, changed_at=customer.created_at)


def change(*, customer: Customer, wanted: Wanted, by: User | None, now: datetime) -> AlertSettings:
    """Set them. A balance that is below the line now is told of at once."""
    with transaction.atomic():
        wallet = lock_wallets([customer.pk])[customer.pk]
        before = current(customer)
        summarized = before.summarized_on if before.weekly_summary else weekly.last_due(customer, now=now)
        row, _is_new = AlertSettings.objects.update_or_create(
            customer=customer,
            defaults={
                "low_balance": wanted.low_balance,
                "monthly_budget": wanted.monthly_budget,
                "caps": wanted.caps,
                "weekly_summary": wanted.weekly_summary,
                "summarized_on": summarized if wanted.weekly_summary else None,
                "changed_by": by,
                "changed_at": now,
            },
        )
        warns = wanted.caps or wanted.monthly_budget is not None
        CustomerMeter.objects.filter(pk=customer.pk).exclude(warns=warns).update(warns=warns)
        _keep_month(customer, is_wanted=wanted.monthly_budget is not None, now=now)
        _keep_line(wallet, wanted.low_balance, now=now)
    return row


def month_spent(customer: Customer, *, now: datetime) -> Decimal:
    """What is charged in the account's month, USD; nothing where it has no budget."""
    meter = AccountMeter.objects.filter(pk=customer.pk).first()
    return meter.charged if meter is not None and meter.month >= _month_of(customer, now=now) else ZERO


def _month_of(customer: Customer, *, now: datetime) -> date:
    return now.astimezone(zone_of(customer.time_zone)).date().replace(day=1)


def _keep_month(customer: Customer, *, is_wanted: bool, now: datetime) -> None:
    if not is_wanted:
        AccountMeter.objects.filter(pk=customer.pk).delete()
        return
    with connection.cursor() as cursor:
        cursor.execute(_MONTH, [customer.pk, _month_of(customer, now=now), customer.pk, customer.pk])


def _keep_line(wallet: Wallet, line: Decimal | None, *, now: datetime) -> None:
    if wallet.low_below == line:
        return
    notices.end(customer_id=wallet.pk, about=low.subject_of(wallet.pk), now=now)
    warn_below(customer_id=wallet.pk, line=line)
    if line is not None:
        level = level_of(wallet)
        mark_low(low.judge({wallet.pk: low.Level(line, None, level, level)}, now=now))
