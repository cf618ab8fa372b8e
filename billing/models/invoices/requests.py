"""Invoices: the series they are numbered in, what customers ask for, and the top-ups it stands on."""

from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
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
