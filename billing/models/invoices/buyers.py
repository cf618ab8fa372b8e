"""Whom an account's invoices are for, as it was said last."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from billing.models.invoices.requests import InvoiceRequest


class Buyer(models.Model):
    """The details of an account's last request for an invoice, or what its owners entered since; presets the next."""

    customer = models.OneToOneField(
        Customer, on_delete=models.PROTECT, primary_key=True, related_name="buyer", verbose_name=_("customer")
    )
    invoice_type = models.CharField(
        _("type"), max_length=16, choices=InvoiceRequest.Type.choices, default=InvoiceRequest.Type.COMMERCIAL
    )
    buyer_kind = models.CharField(
        _("buyer"),
        max_length=10,
        choices=InvoiceRequest.BuyerKind.choices,
        default=InvoiceRequest.BuyerKind.COMPANY,
    )
    company_name = models.CharField(_("company name"), max_length=200)
    tax_id = models.CharField(_("tax number"), max_length=40, blank=True)
    tax_id_is_doubtful = models.BooleanField(_("tax number in doubt"), default=False)
    country = models.CharField(_("country"), max_length=2, blank=True)
    billing_address = models.CharField(_("billing address"), max_length=500, blank=True)
    delivery = models.CharField(
        _("delivery"), max_length=5, choices=InvoiceRequest.Delivery.choices, default=InvoiceRequest.Delivery.EMAIL
    )
    email = models.EmailField(_("email"), blank=True)
    mailing_address = models.CharField(_("mailing address"), max_length=500, blank=True)
    changed_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("changed by")
    )
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("buyer of invoices")
        verbose_name_plural = _("buyers of invoices")

    def __str__(self) -> str:
        return self.company_name
