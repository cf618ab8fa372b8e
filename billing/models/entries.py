"""Entries of the journal by hand, between two accounts of the house: proposed by one, posted by another."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.books.money import shown
from billing.models.ledger import LedgerAccount
from billing.models.proposals import Proposal


class JournalEntry(Proposal):
    """`amount` of `currency` from a debit to a credit account, on the day it is about.

    The database refuses customers' accounts and a second currency: `journalentry_debit_of_the_house` and
    `journalentry_credit_of_the_house` are foreign keys over an account's id, kind and currency.
    """

    debit = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="+", verbose_name=_("debit"), db_index=False
    )
    credit = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="+", verbose_name=_("credit"), db_index=False
    )
    account_kind = models.CharField(max_length=10, default=LedgerAccount.Kind.SYSTEM, editable=False)
    currency = models.CharField(_("currency"), max_length=3)
    amount = models.DecimalField(_("amount"), max_digits=20, decimal_places=8)
    about = models.DateField(_("day it is about"), help_text=_("In the books' time zone."))
    reference = models.CharField(
        _("reference"), max_length=120, help_text=_("The paper it rests on, such as a bank's or a provider's number.")
    )

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        permissions = [("post_entries", "Can propose and approve journal entries")]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="journalentry_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="journalentry_two_accounts"),
            models.CheckConstraint(condition=~Q(reference="") & ~Q(reason=""), name="journalentry_says_why"),
            models.CheckConstraint(
                condition=Q(account_kind=LedgerAccount.Kind.SYSTEM), name="journalentry_accounts_of_the_house"
            ),
            models.CheckConstraint(
                condition=Q(state="proposed", decided_by__isnull=True, decided_at__isnull=True)
                | ~Q(state="proposed") & Q(decided_by__isnull=False, decided_at__isnull=False),
                name="journalentry_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=~Q(state="posted") | ~Q(decided_by=F("proposed_by")), name="journalentry_four_eyes"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="journalentry_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="journalentry_decided_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__df="proposed"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key}, {shown(self.amount, currency=self.currency)}"

    @property
    def key(self) -> str:
        """The business key of its transfer."""
        return f"entry:{self.pk}"
