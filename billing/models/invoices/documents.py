"""Documents that are made of invoices and never changed, and the credit notes that are wanted."""

from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models.invoices.requests import InvoiceAllocation, InvoiceRequest, InvoiceSeries
from billing.models.refunds import RefundRequest
from core.states import Machine


class Document(models.Model):
    """An invoice or what takes one back, as it was given out: never changed, never deleted.

    Amounts are negative on credit notes and red letters. `net` and `tax` are empty where the tax platform made the
    document: there its own file says them.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice", _("invoice")
        CREDIT_NOTE = "credit_note", _("credit note")
        FAPIAO = "fapiao", _("fapiao")
        RED_LETTER = "red_letter", _("red-letter fapiao")

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="documents", verbose_name=_("customer")
    )
    request = models.ForeignKey(
        InvoiceRequest, on_delete=models.PROTECT, related_name="documents", verbose_name=_("invoice request")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    number = models.CharField(_("number"), max_length=40, unique=True)
    series = models.ForeignKey(
        InvoiceSeries,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="documents",
        verbose_name=_("series"),
    )
    sequence = models.PositiveIntegerField(_("number in its series"), null=True, blank=True)
    fapiao_number = models.CharField(_("fapiao number"), max_length=20, blank=True)
    refers_to = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="credits", verbose_name=_("refers to")
    )
    currency = models.CharField(_("currency"), max_length=3)
    gross = models.DecimalField(_("gross"), max_digits=12, decimal_places=2)
    net = models.DecimalField(_("net"), max_digits=12, decimal_places=2, null=True, blank=True)
    tax = models.DecimalField(_("tax"), max_digits=12, decimal_places=2, null=True, blank=True)
    tax_rate = models.DecimalField(_("tax rate"), max_digits=5, decimal_places=4, null=True, blank=True)
    seller = models.JSONField(_("seller"), default=dict)
    buyer = models.JSONField(_("buyer"), default=dict)
    lines = models.JSONField(_("lines"), default=list)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    locale = models.CharField(_("language"), max_length=10, default="en")
    content = models.BinaryField(_("file"), default=bytes, help_text=_("Empty: only its number is recorded."))
    content_type = models.CharField(_("type of the file"), max_length=40, blank=True)
    file_name = models.CharField(_("file name"), max_length=80, blank=True)
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)
    issued_at = models.DateTimeField(_("issued at"), default=timezone.now)
    issued_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("issued by")
    )

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        indexes = [models.Index(fields=["customer", "-id"], name="document_customer")]
        constraints = [
            models.UniqueConstraint(
                fields=["fapiao_number"], condition=~Q(fapiao_number=""), name="document_fapiao_number_once"
            ),
            models.UniqueConstraint(
                fields=["series", "sequence"], condition=Q(series__isnull=False), name="document_sequence_once"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["invoice", "fapiao"], gross__gt=0, refers_to__isnull=True)
                | Q(kind__in=["credit_note", "red_letter"], gross__lt=0, refers_to__isnull=False),
                name="document_sign_follows_kind",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind__in=["invoice", "credit_note"],
                    series__isnull=False,
                    sequence__isnull=False,
                    net__isnull=False,
                    tax__isnull=False,
                    gross=F("net") + F("tax"),
                    fapiao_number="",
                )
                | (
                    Q(kind__in=["fapiao", "red_letter"], series__isnull=True, sequence__isnull=True)
                    & Q(net__isnull=True, tax__isnull=True)
                    & ~Q(fapiao_number="")
                ),
                name="document_is_ours_or_fapiao",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="document_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="document_no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'documents are append-only';",
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CreditTask(models.Model):
    """Money of an invoice goes back or is to go back: a credit note, a red letter or a reason why not is wanted.

    `amount` is in the request's currency. A refund waits while its task is open.
    """

    class Reason(models.TextChoices):
        REFUND = "refund", _("refund")
        DISPUTE = "dispute", _("lost dispute")

    class State(models.TextChoices):
        OPEN = "open", _("needs a credit note")
        DONE = "done", _("credited")
        OVERRIDDEN = "overridden", _("overridden")
        DROPPED = "dropped", _("no longer needed")

    MACHINE: ClassVar[Machine] = Machine(
        "credit note wanted",
        State,
        starts=(State.OPEN,),
        ends=(State.DONE, State.OVERRIDDEN, State.DROPPED),
        moves={State.DONE: (State.OPEN,), State.OVERRIDDEN: (State.OPEN,), State.DROPPED: (State.OPEN,)},
    )

    allocation = models.ForeignKey(InvoiceAllocation, on_delete=models.PROTECT, related_name="tasks")
    request = models.ForeignKey(InvoiceRequest, on_delete=models.PROTECT, related_name="tasks")
    refund = models.ForeignKey(
        RefundRequest, on_delete=models.PROTECT, null=True, blank=True, related_name="credit_tasks"
    )
    source_id = models.BigIntegerField(_("payment"))
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2)
    credited = models.DecimalField(_("credited"), max_digits=12, decimal_places=2, default=0)
    reason = models.CharField(_("reason"), max_length=12, choices=Reason.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    document = models.ForeignKey(Document, on_delete=models.PROTECT, null=True, blank=True, related_name="tasks")
    words = models.CharField(_("why no credit note"), max_length=500, blank=True)
    resolved_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("resolved by")
    )
    created_at = models.DateTimeField(_("opened at"), default=timezone.now)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    class Meta:
        verbose_name = _("credit note wanted")
        verbose_name_plural = _("credit notes wanted")
        indexes = [
            models.Index(fields=["created_at"], condition=Q(state="open"), name="credittask_open"),
            models.Index(fields=["source_id"], name="credittask_source"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, credited__gte=0, credited__lte=F("amount")), name="credittask_within"
            ),
            models.CheckConstraint(
                condition=Q(state="open", resolved_at__isnull=True) | (~Q(state="open") & Q(resolved_at__isnull=False)),
                name="credittask_resolved_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="overridden") | (~Q(words="") & Q(resolved_by__isnull=False)),
                name="credittask_override_has_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(document__isnull=False), name="credittask_done_has_document"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request.number}: {self.amount} {self.request.currency}"

    @property
    def left(self) -> Decimal:
        """What of it is not credited yet."""
        return self.amount - self.credited
