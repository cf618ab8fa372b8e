"""Invoices: what customers ask for, the top-ups it stands on, and the documents that are made and never changed."""

from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models.refunds import RefundRequest
from core.states import Machine


class InvoiceSeries(models.Model):
    """A row of gapless numbers, and what stands on each document made from it. Locked while a number is taken.

    `tax_rate` is a share, 0.0600 for 6 %; prices include it. An empty `currency` fits any.
    """

    prefix = models.CharField(_("prefix"), max_length=20, unique=True, help_text=_("Such as CZ2026-"))
    next_number = models.PositiveIntegerField(_("next number"), default=1)
    currency = models.CharField(_("currency"), max_length=3, blank=True, help_text=_("Empty: any."))
    is_active = models.BooleanField(_("in use"), default=True)
    tax_rate = models.DecimalField(_("tax rate"), max_digits=5, decimal_places=4, default=0)
    tax_name_en = models.CharField(_("name of the tax"), max_length=40, default="VAT")
    tax_name_zh = models.CharField(_("name of the tax, Chinese"), max_length=40, default="增值税")
    tax_note_en = models.CharField(_("note on tax"), max_length=300, blank=True)
    tax_note_zh = models.CharField(_("note on tax, Chinese"), max_length=300, blank=True)
    seller_name_en = models.CharField(_("seller"), max_length=200)
    seller_name_zh = models.CharField(_("seller, Chinese"), max_length=200, blank=True)
    seller_address_en = models.CharField(_("seller's address"), max_length=500)
    seller_address_zh = models.CharField(_("seller's address, Chinese"), max_length=500, blank=True)
    seller_tax_id = models.CharField(_("seller's tax number"), max_length=40, blank=True)
    seller_contact = models.CharField(_("seller's contact"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("invoice series")
        verbose_name_plural = _("invoice series")
        constraints = [
            models.CheckConstraint(condition=Q(tax_rate__gte=0, tax_rate__lt=1), name="invoiceseries_rate_is_share"),
            models.CheckConstraint(condition=Q(next_number__gte=1), name="invoiceseries_number_from_one"),
            models.CheckConstraint(condition=Q(currency__in=["", "USD", "CNY"]), name="invoiceseries_currency_known"),
        ]
        triggers = [
            pgtrigger.Protect(name="invoiceseries_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="invoiceseries_only_counts_up",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__next_number__lt=pgtrigger.F("old__next_number"))
                | pgtrigger.Q(old__next_number__gt=1, new__prefix__df=pgtrigger.F("old__prefix")),
            ),
        ]

    def __str__(self) -> str:
        return self.prefix


class InvoiceRequest(models.Model):
    """What a customer wants invoiced: `amount` in `currency`, the one charged, at 2 places, and for whom.

    `credited` is what credit notes and red letters have taken back of it.
    """

    class State(models.TextChoices):
        REQUESTED = "requested", _("requested")
        ISSUED = "issued", _("issued")
        DENIED = "denied", _("denied")
        CANCELLED = "cancelled", _("cancelled")
        PARTLY_CREDITED = "partly_credited", _("partly credited")
        CREDITED = "credited", _("credited")

    class Type(models.TextChoices):
        COMMERCIAL = "commercial", _("commercial invoice")
        FAPIAO_GENERAL = "fapiao_general", _("general fapiao")
        FAPIAO_SPECIAL = "fapiao_special", _("special fapiao")

    class BuyerKind(models.TextChoices):
        COMPANY = "company", _("company")
        INDIVIDUAL = "individual", _("individual")

    class Delivery(models.TextChoices):
        EMAIL = "email", _("by email")
        POST = "post", _("by post")

    STANDING: ClassVar[tuple[str, ...]] = (State.ISSUED, State.PARTLY_CREDITED)
    """A document is out and not wholly credited."""
    CLAIMING: ClassVar[tuple[str, ...]] = (State.REQUESTED, *STANDING)
    """Its allocations take up what can be invoiced."""
    MACHINE: ClassVar[Machine] = Machine(
        "invoice",
        State,
        starts=(State.REQUESTED,),
        ends=(State.ISSUED, State.DENIED, State.CANCELLED, State.PARTLY_CREDITED, State.CREDITED),
        moves={
            State.ISSUED: (State.REQUESTED,),
            State.DENIED: (State.REQUESTED,),
            State.CANCELLED: (State.REQUESTED,),
            State.PARTLY_CREDITED: STANDING,
            State.CREDITED: STANDING,
        },
    )

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="invoices", verbose_name=_("customer")
    )
    number = models.CharField(_("number"), max_length=32, unique=True, help_text=_("Ours, known over the API."))
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.REQUESTED)
    invoice_type = models.CharField(_("type"), max_length=16, choices=Type.choices, default=Type.COMMERCIAL)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2)
    credited = models.DecimalField(_("credited"), max_digits=12, decimal_places=2, default=0)
    currency = models.CharField(_("currency"), max_length=3)
    buyer_kind = models.CharField(_("buyer"), max_length=10, choices=BuyerKind.choices, default=BuyerKind.COMPANY)
    company_name = models.CharField(_("company name"), max_length=200)
    tax_id = models.CharField(_("tax number"), max_length=40, blank=True)
    tax_id_is_doubtful = models.BooleanField(
        _("tax number in doubt"), default=False, help_text=_("Its check digit does not fit; the buyer stands by it.")
    )
    country = models.CharField(_("country"), max_length=2, blank=True)
    billing_address = models.CharField(_("billing address"), max_length=500, blank=True)
    delivery = models.CharField(_("delivery"), max_length=5, choices=Delivery.choices, default=Delivery.EMAIL)
    email = models.EmailField(_("email"), blank=True)
    mailing_address = models.CharField(_("mailing address"), max_length=500, blank=True)
    remark = models.CharField(_("remark"), max_length=200, blank=True)
    locale = models.CharField(_("language"), max_length=10, default="en")
    replaces = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by", verbose_name=_("replaces")
    )
    asked_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("asked by")
    )
    entered_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("entered by")
    )
    reference = models.CharField(_("reference"), max_length=200, blank=True, help_text=_("Of the mail it came by."))
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decision = models.CharField(_("words to the customer"), max_length=1000, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True, help_text=_("What staff should look at."))
    carrier = models.CharField(_("carrier"), max_length=60, blank=True)
    tracking = models.CharField(_("tracking number"), max_length=80, blank=True)
    posted_at = models.DateTimeField(_("posted at"), null=True, blank=True)
    created_at = models.DateTimeField(_("asked at"), default=timezone.now)
    due_at = models.DateTimeField(_("due"))
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("invoice request")
        verbose_name_plural = _("invoice requests")
        indexes = [
            models.Index(fields=["customer", "-id"], name="invoice_customer"),
            models.Index(fields=["due_at"], condition=Q(state="requested"), name="invoice_desk"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="invoice_amount_positive"),
            models.CheckConstraint(
                condition=Q(credited__gte=0, credited__lte=F("amount")), name="invoice_credited_within"
            ),
            models.CheckConstraint(condition=Q(currency__in=["USD", "CNY"]), name="invoice_currency_known"),
            models.CheckConstraint(
                condition=Q(state="credited", credited=F("amount"))
                | Q(state="partly_credited", credited__gt=0, credited__lt=F("amount"))
                | (~Q(state__in=["credited", "partly_credited"]) & Q(credited=0)),
                name="invoice_state_follows_credited",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def is_fapiao(self) -> bool:
        return self.invoice_type != self.Type.COMMERCIAL


class InvoiceAllocation(models.Model):
    """What a request takes of one payment, in the request's currency.

    `source_id` is the payment's id in its own app (a top-up), `label` and the rest what is shown of it. `waived` is
    what staff decided needs no credit note although the money went back.
    """

    request = models.ForeignKey(InvoiceRequest, on_delete=models.PROTECT, related_name="allocations")
    source_id = models.BigIntegerField(_("payment"))
    label = models.CharField(_("order number"), max_length=64)
    method = models.CharField(_("method"), max_length=20)
    paid_at = models.DateTimeField(_("paid at"))
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2)
    credited = models.DecimalField(_("credited"), max_digits=12, decimal_places=2, default=0)
    waived = models.DecimalField(_("waived"), max_digits=12, decimal_places=2, default=0)

    class Meta:
        verbose_name = _("allocation of an invoice")
        verbose_name_plural = _("allocations of invoices")
        indexes = [models.Index(fields=["source_id"], name="invoiceallocation_source")]
        constraints = [
            models.UniqueConstraint(fields=["request", "source_id"], name="invoiceallocation_once"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="invoiceallocation_positive"),
            models.CheckConstraint(
                condition=Q(credited__gte=0, waived__gte=0, amount__gte=F("credited") + F("waived")),
                name="invoiceallocation_credited_within",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label}: {self.amount}"

    @property
    def standing(self) -> Decimal:
        """What of it is invoiced and not credited."""
        return self.amount - self.credited


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
