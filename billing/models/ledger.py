"""The books: accounts, transfers between them, the wallet that caches a customer's balances, and holds."""

from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.books.money import PLACES
from core.states import Machine


class LedgerAccount(models.Model):
    """One side of a transfer, in one currency. Customers have `paid` and `bonus`; the rest belong to the house."""

    class Kind(models.TextChoices):
        PAID = "paid", _("Paid balance")
        BONUS = "bonus", _("Bonus balance")
        SYSTEM = "system", _("House account")

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.SYSTEM)
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="ledger_accounts",
        verbose_name=_("customer"),
    )

    class Meta:
        verbose_name = _("ledger account")
        verbose_name_plural = _("ledger accounts")
        constraints = [
            # The target of the transfers' composite foreign keys: an account's currency is the transfer's.
            models.UniqueConstraint(fields=["id", "currency"], name="ledgeraccount_id_currency"),
            # And of journal entries': both accounts are the house's.
            models.UniqueConstraint(fields=["id", "kind", "currency"], name="ledgeraccount_id_kind_currency"),
            models.UniqueConstraint(
                fields=["customer", "kind"], condition=Q(customer__isnull=False), name="ledgeraccount_one_of_a_kind"
            ),
            models.CheckConstraint(
                condition=Q(kind="system", customer__isnull=True)
                | (~Q(kind="system") & Q(customer__isnull=False, currency="USD")),
                name="ledgeraccount_customer_kinds_have_customer",
            ),
            models.CheckConstraint(condition=Q(currency__in=sorted(PLACES)), name="ledgeraccount_currency_known"),
        ]
        triggers = [pgtrigger.Protect(name="ledgeraccount_protect", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.name


OPEN_DAY = """
PERFORM pg_advisory_xact_lock_shared(hashtext('close_days'));
PERFORM pg_advisory_xact_lock_shared(hashtext('close_month'), c.customer_id::int) FROM
  (SELECT DISTINCT customer_id FROM billing_ledgeraccount
   WHERE id IN (NEW.debit_id, NEW.credit_id) AND customer_id IS NOT NULL ORDER BY customer_id) c;
SELECT max(s.closes_at) INTO closed_to FROM billing_monthstatement s
  JOIN billing_ledgeraccount a ON a.customer_id = s.customer_id WHERE a.id IN (NEW.debit_id, NEW.credit_id);
SELECT max(day), min(zone) INTO closed_day, books_zone FROM billing_closedday;
IF (NEW.created_at AT TIME ZONE 'UTC')::date <= closed_day THEN
  IF NEW.booked_on = (NEW.created_at AT TIME ZONE books_zone)::date THEN
    NEW.booked_on := (clock_timestamp() AT TIME ZONE books_zone)::date;
  END IF;
  NEW.created_at := clock_timestamp();
ELSIF NEW.created_at < closed_to THEN
  NEW.created_at := clock_timestamp();
END IF;
PERFORM pg_advisory_xact_lock_shared(hashtext('lock_month'));
SELECT (max(month) + interval '1 month')::date INTO open_month FROM billing_monthlock;
IF NEW.booked_on < open_month THEN
  NEW.booked_on := open_month;
END IF;
RETURN NEW;
"""
"""A closed day takes no more transfers, and neither does an account's closed month: one dated into it has the
database's time instead. What closes takes the same lock, so a transfer is either among what is summed or sees that it
is closed. A locked month takes none either."""


class Transfer(models.Model):
    """One row moves a positive amount from a debit account to a credit account. Never changed, never deleted."""

    key = models.CharField(
        _("key"), max_length=120, unique=True, db_collation="C", help_text=_("The business fact, such as topup:123.")
    )
    kind = models.CharField(_("kind"), max_length=30)
    debit = models.ForeignKey(
        LedgerAccount,
        on_delete=models.PROTECT,
        related_name="debits",
        db_constraint=False,
        db_index=False,
        verbose_name=_("debit"),
    )
    credit = models.ForeignKey(
        LedgerAccount,
        on_delete=models.PROTECT,
        related_name="credits",
        db_constraint=False,
        db_index=False,
        verbose_name=_("credit"),
    )
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=8)
    group = models.CharField(_("group"), max_length=120, blank=True, help_text=_("Transfers of one business act."))
    memo = models.CharField(_("note"), max_length=300, blank=True)
    actor = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("done by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    booked_on = models.DateField(
        _("booked on"),
        db_default=Func(function="CURRENT_DATE", template="%(function)s", output_field=models.DateField()),
        help_text=_("The day it is about, in the books' time zone."),
    )

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        indexes = [
            models.Index(fields=["debit", "-id"], name="transfer_debit"),
            models.Index(fields=["credit", "-id"], name="transfer_credit"),
            # What the audit looks for among a customer's charges, which are many.
            models.Index(
                fields=["debit"],
                name="transfer_taken_down",
                condition=Q(kind__in=["adjustment", "write_off_recovered"]),
            ),
            # Rows come in the order of their time, so a day is a stretch of the table.
            BrinIndex(fields=["created_at"], name="transfer_day", pages_per_range=32, autosummarize=True),
            BrinIndex(fields=["booked_on"], name="transfer_booked", pages_per_range=32, autosummarize=True),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="transfer_two_accounts"),
        ]
        triggers = [
            pgtrigger.Protect(name="transfer_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="transfer_no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'transfers are append-only';",
            ),
            # A day or a month is closed, and a month locked, an hour after its end at the earliest, and when those who
            # wrote transfers then are through: a transfer of this half hour about these days needs no look, and pays
            # for none. In each zone the day before yesterday is over.
            pgtrigger.Trigger(
                name="transfer_open_day",
                level=pgtrigger.Row,
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition(
                    "NEW.created_at < statement_timestamp() - interval '30 minutes' OR NEW.booked_on < CURRENT_DATE - 1"
                ),
                declare=[
                    ("closed_day", "date"),
                    ("books_zone", "text"),
                    ("open_month", "date"),
                    ("closed_to", "timestamptz"),
                ],
                func=OPEN_DAY,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.amount} {self.currency}"


class Wallet(models.Model):
    """A customer's balances in USD, cached in the transaction that writes the transfer or hold.

    A narrow row, fillfactor 50, no index on a changing column: updates stay in their page. `paid` may fall below
    zero by a dispute, or by usage within the allowance (`billing/books/allowance.py`); `bonus` and `held` never do.
    """

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="wallet", verbose_name=_("customer")
    )
    paid_account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    bonus_account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    paid = models.DecimalField(_("paid balance"), max_digits=20, decimal_places=8, default=0)
    bonus = models.DecimalField(_("bonus"), max_digits=20, decimal_places=8, default=0)
    held = models.DecimalField(_("held"), max_digits=20, decimal_places=8, default=0)
    exposure = models.DecimalField(
        _("exposure"),
        max_digits=20,
        decimal_places=8,
        default=0,
        help_text=_("What open requests may cost beyond their holds: the sum of (bound - hold)."),
    )
    paid_in = models.DecimalField(
        _("paid in"),
        max_digits=20,
        decimal_places=8,
        default=0,
        help_text=_("Top-ups less refunds that left and what is disputed or was lost."),
    )
    first_paid_at = models.DateTimeField(_("first paid at"), null=True, blank=True)
    paid_again = models.BooleanField(
        _("paid again"), default=False, help_text=_("On a later day than the first time, UTC.")
    )
    disputed = models.DecimalField(
        _("disputed"), max_digits=20, decimal_places=8, default=0, help_text=_("Undecided or lost.")
    )
    written_off = models.DecimalField(
        _("written off"), max_digits=20, decimal_places=8, default=0, help_text=_("Debts that the house bears.")
    )
    watched_below = models.DecimalField(
        _("watched below"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("The automatic top-up's line, USD. Empty: nobody watches."),
    )

    low_below = models.DecimalField(
        _("low below"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("USD that its owners want to be warned at. Empty: at none."),
    )
    low_since = models.DateTimeField(
        _("low since"), null=True, blank=True, help_text=_("They were warned then, and are not again until it is up.")
    )

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            models.CheckConstraint(condition=Q(bonus__gte=0), name="wallet_bonus_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="wallet_held_not_negative"),
            models.CheckConstraint(condition=Q(exposure__gte=0), name="wallet_exposure_not_negative"),
            models.CheckConstraint(condition=Q(disputed__gte=0), name="wallet_disputed_not_negative"),
            models.CheckConstraint(condition=Q(written_off__gte=0), name="wallet_written_off_not_negative"),
            models.CheckConstraint(
                condition=Q(paid_again=False) | Q(first_paid_at__isnull=False), name="wallet_paid_again_after_first"
            ),
            models.CheckConstraint(
                condition=Q(paid_in__lte=0) | Q(first_paid_at__isnull=False), name="wallet_paid_in_has_first"
            ),
            models.CheckConstraint(
                condition=Q(low_since__isnull=True) | Q(low_below__isnull=False), name="wallet_low_below_a_line"
            ),
        ]

    def __str__(self) -> str:
        return f"wallet of customer {self.customer_id}"

    @property
    def topped_up(self) -> bool:
        return self.first_paid_at is not None

    @property
    def balance(self) -> Decimal:
        return self.paid + self.bonus

    @property
    def available(self) -> Decimal:
        return self.paid + self.bonus - self.held


class Hold(models.Model):
    """Money set aside on a wallet for one business fact, resolved once.

    What a budget's requests hold and are charged is taken out of its hold, `captured` there, and given back to it.
    """

    class Kind(models.TextChoices):
        REQUEST = "request", _("Request")
        JOB = "job", _("Background job")
        REFUND = "refund", _("Refund")
        DISPUTE = "dispute", _("Dispute")
        BUDGET = "budget", _("Budget")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        CAPTURED = "captured", _("captured")
        RELEASED = "released", _("released")

    MACHINE: ClassVar[Machine] = Machine(
        "hold",
        State,
        starts=(State.OPEN,),
        ends=(State.CAPTURED, State.RELEASED),
        moves={State.CAPTURED: (State.OPEN,), State.RELEASED: (State.OPEN,)},
    )

    key = models.CharField(
        _("key"), max_length=60, primary_key=True, db_collation="C", help_text=_("Such as gen-... or refund:7.")
    )
    customer = models.ForeignKey(
        Customer,
        on_delete=models.PROTECT,
        related_name="holds",
        db_constraint=False,
        db_index=False,
        verbose_name=_("customer"),
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=8)
    bound = models.DecimalField(
        _("bound"), max_digits=20, decimal_places=8, help_text=_("The most that may be captured.")
    )
    captured = models.DecimalField(_("captured"), max_digits=20, decimal_places=8, default=0)
    reason = models.CharField(_("reason"), max_length=30, blank=True)
    inside = models.CharField(
        _("inside"),
        max_length=60,
        null=True,
        blank=True,
        db_collation="C",
        help_text=_("The budget's hold that it was taken out of, and that its rest goes back to."),
    )
    created_at = models.DateTimeField(_("created at"))
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        indexes = [
            models.Index(fields=["customer"], condition=Q(state="open"), name="hold_open"),
            models.Index(fields=["inside", "state"], condition=Q(inside__isnull=False), name="hold_inside"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(condition=Q(bound__gte=F("amount")), name="hold_within_bound"),
            models.CheckConstraint(
                condition=Q(captured__gte=0) & Q(captured__lte=F("bound")), name="hold_captured_within_bound"
            ),
            models.CheckConstraint(
                condition=Q(state="open", resolved_at__isnull=True) | (~Q(state="open") & Q(resolved_at__isnull=False)),
                name="hold_resolved_has_time",
            ),
            # A budget pays for all that its requests may cost: no allowance stands in for it.
            models.CheckConstraint(
                condition=Q(inside__isnull=True) | Q(bound=F("amount"), kind__in=["request", "job"]),
                name="hold_inside_at_the_bound",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.amount} {self.state}"
