"""Who an invoice is for and where it goes: checked before anything is written; every error names its field."""

import unicodedata
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from billing.invoices.buyer.countries import countries
from billing.invoices.buyer.tax_numbers import TaxNumber, checked_number, iso_country
from billing.invoices.core import InvoiceError
from billing.models import InvoiceRequest
from billing.requests.steps import Faults

Type, BuyerKind, Delivery = InvoiceRequest.Type, InvoiceRequest.BuyerKind, InvoiceRequest.Delivery
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Unicode's characters that steer a text and show nothing, such as those that turn its direction."""
JOINERS = "\u200c\u200d"
"""They steer too, but Persian and emoji are spelt with them."""


@dataclass(frozen=True, slots=True)
class Details:
    """The buyer and the way of delivery, checked and in their one form; `tax_id` is compact."""

    invoice_type: str
    buyer_kind: str
    company_name: str
    tax_id: str
    tax_id_is_doubtful: bool
    country: str
    billing_address: str
    delivery: str
    email: str
    mailing_address: str
    remark: str


def checked(
    *,
    company_name: str,
    tax_id: str = "",
    delivery: str = Delivery.EMAIL,
    email: str = "",
    mailing_address: str = "",
    invoice_type: str = Type.COMMERCIAL,
    buyer_kind: str = BuyerKind.COMPANY,
    country: str = "",
    billing_address: str = "",
    remark: str = "",
    tax_id_confirmed: bool = False,
) -> Details:
    """What a customer wrote, or `InvoiceError` naming the first field at fault, and in `faults` all of them.

    A company of the EU or of China has a tax number, others may; a special fapiao is for companies alone, any fapiao
    for China. The country may be left out: a number with the places of a Chinese credit code is checked as one.
    """
    faults = Faults()
    for value, allowed, field in (
        (invoice_type, Type.values, "invoice_type"),
        (buyer_kind, BuyerKind.values, "buyer_kind"),
        (delivery, Delivery.values, "delivery"),
    ):
        with faults:
            _must_be_one_of(value, allowed, field)
    is_fapiao = invoice_type != Type.COMMERCIAL
    country = iso_country(country) or ("CN" if is_fapiao else "")
    number, name, bill_to, post_to, mail_to, note = TaxNumber(), "", "", "", "", ""
    with faults:
        if invoice_type == Type.FAPIAO_SPECIAL and buyer_kind != BuyerKind.COMPANY:
            raise InvoiceError(_("A special fapiao is for companies alone."), field="buyer_kind")
    with faults:
        name = _text(company_name, "company_name", most=200)
        if not name:
            raise InvoiceError(_("Enter the name for the invoice."), field="company_name")
    with faults:
        if country and country not in countries():
            raise InvoiceError(_("Enter the country's two letters, such as CN or DE."), field="country")
        if is_fapiao and country != "CN":
            raise InvoiceError(_("A fapiao is for buyers in China."), field="country")
    with faults:
        number = checked_number(
            _text(tax_id, "tax_id", most=60),
            country=country if country in countries() else "",
            is_company=buyer_kind == BuyerKind.COMPANY,
            is_confirmed=tax_id_confirmed,
        )
    with faults:
        bill_to = _text(billing_address, "billing_address", most=500, lines=True)
    with faults:
        mail_to = _email(email)
        if delivery == Delivery.EMAIL and not mail_to:
            raise InvoiceError(_("Enter the address the invoice is mailed to."), field="email")
    with faults:
        post_to = _text(mailing_address, "mailing_address", most=500, lines=True)
        if delivery == Delivery.POST and not post_to:
            raise InvoiceError(_("Enter the address the invoice is posted to."), field="mailing_address")
    with faults:
        note = _text(remark, "remark", most=200)
    faults.raise_all()
    return Details(
        invoice_type=invoice_type,
        buyer_kind=buyer_kind,
        company_name=name,
        tax_id=number.text,
        tax_id_is_doubtful=number.is_doubtful,
        country=country,
        billing_address=bill_to,
        delivery=delivery,
        email=mail_to,
        mailing_address=post_to,
        remark=note,
    )


def _must_be_one_of(value: str, allowed: list[str], field: str) -> None:
    if value not in allowed:
        raise InvoiceError(_("Choose one of: %(choices)s.") % {"choices": ", ".join(allowed)}, field=field)


def _text(value: str, field: str, *, most: int, lines: bool = False) -> str:
    """Text as it is shown: without characters that steer it; a line, or lines that say something."""
    value = unicodedata.normalize("NFC", value)
    seen = "".join(
        " " if char == "\t" else char
        for char in value.replace("\r\n", "\n").replace("\r", "\n")
        if char in "\n\t" or char in JOINERS or unicodedata.category(char) not in UNSEEN
    )
    rows = [" ".join(row.split()) for row in seen.split("\n")]
    text = ("\n" if lines else " ").join(row for row in rows if row)
    if len(text) > most:
        raise InvoiceError(_("At most %(most)s characters, please.") % {"most": most}, field=field)
    return text


def _email(value: str) -> str:
    value = value.strip()
    if value:
        try:
            validate_email(value)
        except ValidationError:
            raise InvoiceError(_("This is no email address."), field="email") from None
    if len(value) > 254:
        raise InvoiceError(_("This is no email address."), field="email")
    return value
