"""The form of an invoice request, as its customer and the desk fill it in."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy

from billing.invoices.asking import FAPIAO_CURRENCY
from billing.models import InvoiceRequest

LINES = forms.Textarea(attrs={"rows": 3, "maxlength": 500})


class InvoiceForm(forms.Form):
    """What a customer writes; the domain checks it and names the field that is wrong."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"))
    amount = forms.CharField(
        max_length=20,
        label=gettext_lazy("Amount"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    invoice_type = forms.ChoiceField(
        choices=InvoiceRequest.Type.choices, initial=InvoiceRequest.Type.COMMERCIAL, label=gettext_lazy("Type")
    )
    buyer_kind = forms.ChoiceField(
        choices=InvoiceRequest.BuyerKind.choices, initial=InvoiceRequest.BuyerKind.COMPANY, label=gettext_lazy("Buyer")
    )
    company_name = forms.CharField(
        max_length=200,
        label=gettext_lazy("Name on the invoice"),
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
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
    country = forms.CharField(
        max_length=2,
        required=False,
        label=gettext_lazy("Country, two letters"),
        widget=forms.TextInput(attrs={"autocomplete": "country", "placeholder": "CN"}),
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
    remark = forms.CharField(max_length=200, required=False, label=gettext_lazy("Remark on the invoice, if wanted"))

    def __init__(self, *args: Any, currencies: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["currency"]).choices = [(name, name) for name in currencies]
        if FAPIAO_CURRENCY not in currencies:
            cast(forms.ChoiceField, self.fields["invoice_type"]).choices = [InvoiceRequest.Type.choices[0]]
