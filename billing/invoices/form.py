"""The forms of invoice requests, as customers and the desk fill them in. The domain checks them, all fields at once."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from billing.invoices.asking import FAPIAO_CURRENCY
from billing.invoices.buyer.countries import named
from billing.invoices.buyer.details import checked
from billing.invoices.core import InvoiceError
from billing.invoices.payments import Invoiceable
from billing.models import InvoiceRequest
from billing.requests.steps import RequestError

LINES = forms.Textarea(attrs={"rows": 3, "maxlength": 500})
BUYER = (
    *("invoice_type", "buyer_kind", "company_name", "tax_id", "tax_id_confirmed", "country", "billing_address"),
    *("delivery", "email", "mailing_address"),
)


class BuyerForm(forms.Form):
    """Whom invoices are for, and how they get there."""

    by_staff = False
    """Staff looked at the tax number themselves."""
    invoice_type = forms.ChoiceField(
        choices=InvoiceRequest.Type.choices, initial=InvoiceRequest.Type.COMMERCIAL, label=gettext_lazy("Type")
    )
    buyer_kind = forms.ChoiceField(
        choices=InvoiceRequest.BuyerKind.choices, initial=InvoiceRequest.BuyerKind.COMPANY, label=gettext_lazy("Buyer")
    )
    company_name = forms.CharField(
        max_length=200,
        required=False,
        label=gettext_lazy("Name on the invoice"),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    country = forms.ChoiceField(
        required=False, label=gettext_lazy("Country"), widget=forms.Select(attrs={"autocomplete": "country"})
    )
    tax_id = forms.CharField(
        max_length=60,
        required=False,
        label=gettext_lazy("Tax identification number"),
        help_text=gettext_lazy("Companies of the EU and of China give it; others may leave it out."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    tax_id_confirmed = forms.BooleanField(
        required=False, label=gettext_lazy("I have checked the tax number, though its check digit does not fit")
    )
    billing_address = forms.CharField(
        max_length=500, required=False, label=gettext_lazy("Address on the invoice, if wanted"), widget=LINES
    )
    delivery = forms.ChoiceField(
        choices=InvoiceRequest.Delivery.choices, initial=InvoiceRequest.Delivery.EMAIL, label=gettext_lazy("Delivery")
    )
    email = forms.CharField(
        max_length=254,
        required=False,
        label=gettext_lazy("Mail it to"),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    mailing_address = forms.CharField(max_length=500, required=False, label=gettext_lazy("Post it to"), widget=LINES)

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        listed = named(get_language() or "en")
        self._choose("country", [("", _("Choose a country")), *((code, name) for code, name in listed)])
        if FAPIAO_CURRENCY not in currencies:
            self._choose("invoice_type", [InvoiceRequest.Type.choices[0]])
            if self.initial.get("invoice_type"):
                self.initial["invoice_type"] = InvoiceRequest.Type.COMMERCIAL

    def clean(self) -> dict[str, Any]:
        """What the domain finds, beside what the fields do."""
        data = self.cleaned_data
        given = {name: data[name] for name in (*BUYER, "remark") if name in data}
        given.setdefault("company_name", "")
        given["tax_id_confirmed"] = given.get("tax_id_confirmed", False) or self.by_staff
        try:
            checked(**given)
        except InvoiceError as error:
            self.add_faults(error)
        return data

    def add_faults(self, error: RequestError) -> None:
        """Show all that is wrong, each at its field, a field once."""
        for fault in error.faults:
            field = fault.field if fault.field in self.fields else None
            if field is None or field not in self.errors:
                self.add_error(field, str(fault))

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        cast(forms.ChoiceField, self.fields[name]).choices = choices


class InvoiceForm(BuyerForm):
    """What a request says."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"))
    amount = forms.CharField(
        max_length=20,
        label=gettext_lazy("Amount"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    remark = forms.CharField(max_length=200, required=False, label=gettext_lazy("Remark on the invoice, if wanted"))
    field_order: Sequence[str] = ("currency", "amount", *BUYER, "remark")

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, currencies=currencies, **kwargs)
        self._choose("currency", [(name, name) for name in currencies])


class PaymentsForm(InvoiceForm):
    """A request over payments that are picked, of one currency; the whole of them where no amount is named."""

    payments = forms.MultipleChoiceField(required=False, label=gettext_lazy("Payments"))
    is_picking = forms.BooleanField(required=False, widget=forms.HiddenInput)
    """The payments were there to be picked."""

    def __init__(self, *args: Any, currency: str, payments: Sequence[Invoiceable], **kwargs: Any) -> None:
        super().__init__(*args, currencies=[currency] if currency else [], **kwargs)
        self._choose("payments", [(one.source.label, one.source.label) for one in payments])
        self.fields["amount"].required = False
        self.fields["amount"].label = _("Amount, if not all of it")

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.pop("is_picking", False) and not data.get("payments") and "payments" not in self.errors:
            self.add_error("payments", _("Choose a payment."))
        return data
