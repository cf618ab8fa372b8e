"""Codes that give bonus: batches of them, whom each was used by, and wrong tries."""

from decimal import Decimal

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models.ledger import Transfer
from billing.models.proposals import Proposal


class CodeBatch(Proposal):
    """Codes of one kind: each gives `amount` USD to up to `uses` customers, until `ends_at`."""

    words = models.CharField(_("words to the customer"), max_length=200)
    amount = models.DecimalField(_("amount, USD"), max_digits=20, decimal_places=8)
    count = models.PositiveIntegerField(_("codes"))
    uses = models.PositiveIntegerField(_("customers a code"), default=1)
    ends_at = models.DateTimeField(_("may be entered until"))
    days = models.PositiveIntegerField(
        _("days that the bonus lasts"), null=True, blank=True, help_text=_("Empty: it does not end.")
    )
    needs_second = models.BooleanField(_("needs a second of finance"))
    made_at = models.DateTimeField(_("codes made at"), null=True, blank=True)
    stopped_at = models.DateTimeField(_("stopped at"), null=True, blank=True)
    stopped_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("stopped by"),
        db_index=False,
    )

    class Meta:
        verbose_name = _("batch of codes")
        verbose_name_plural = _("batches of codes")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, count__gt=0, uses__gt=0) & Q(ends_at__gt=F("proposed_at")),
                name="codebatch_gives_something",
            ),
            models.CheckConstraint(
                condition=~Q(state="posted") | Q(needs_second=False) | ~Q(decided_by=F("proposed_by")),
                name="codebatch_four_eyes",
            ),
            models.CheckConstraint(condition=Q(state="posted") | Q(made_at=None), name="codebatch_made_when_posted"),
        ]
        triggers = [pgtrigger.Protect(name="codebatch_kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"codes:{self.pk}, {self.count} x {self.uses} x ${self.amount:.2f}"

    @property
    def worth(self) -> Decimal:
        """USD, if all is used."""
        return Decimal(self.amount * self.count * self.uses)


class BonusCode(models.Model):
    """A code, of which a keyed hash alone is kept."""

    batch = models.ForeignKey(CodeBatch, on_delete=models.PROTECT, related_name="codes", verbose_name=_("batch"))
    code_hash = models.CharField(_("hash"), max_length=64, unique=True)
    uses_left = models.PositiveIntegerField(_("uses left"))

    class Meta:
        verbose_name = _("code")
        verbose_name_plural = _("codes")

    def __str__(self) -> str:
        return f"code {self.pk}"


class CodeUse(models.Model):
    """A customer entered a code; one of a batch."""

    batch = models.ForeignKey(
        CodeBatch, on_delete=models.PROTECT, related_name="used", db_index=False, verbose_name=_("batch")
    )
    code = models.ForeignKey(BonusCode, on_delete=models.PROTECT, related_name="used", verbose_name=_("code"))
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="+", db_index=False, verbose_name=_("customer")
    )
    transfer = models.OneToOneField(
        Transfer, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False, verbose_name=_("transfer")
    )
    used_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("used by"))
    used_at = models.DateTimeField(_("used at"))

    class Meta:
        verbose_name = _("use of a code")
        verbose_name_plural = _("uses of codes")
        constraints = [models.UniqueConstraint(fields=["batch", "customer"], name="codeuse_once")]
        indexes = [models.Index(fields=["customer", "-id"], name="codeuse_customer")]

    def __str__(self) -> str:
        return f"code:{self.pk}"


class CodeTry(models.Model):
    """A code that there is not was entered; kept for an hour."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+", verbose_name=_("customer"))
    network_hash = models.CharField(_("hash of the network"), max_length=64, db_index=True, blank=True)
    tried_at = models.DateTimeField(_("tried at"), db_index=True)

    class Meta:
        verbose_name = _("wrong code")
        verbose_name_plural = _("wrong codes")

    def __str__(self) -> str:
        return f"customer {self.customer_id}, {self.tried_at:%Y-%m-%d %H:%M}"
