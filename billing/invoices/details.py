"""Who an invoice is for and where it goes: checked before anything is written; every error names its field."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from stdnum import get_cc_module
from stdnum.cn import ric, uscc
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import ValidationError as WrongNumber
from stdnum.us import tin

from billing.invoices.core import InvoiceError
from billing.models import InvoiceRequest

if TYPE_CHECKING:
    from stdnum.util import NumberValidationModule

Type, BuyerKind, Delivery = InvoiceRequest.Type, InvoiceRequest.BuyerKind, InvoiceRequest.Delivery
LOOKS_CHINESE = re.compile(r"[0-9A-Z]{2}[0-9]{6}[0-9A-Z]{10}")
"""A unified social credit code's places: who registered it, the division's six digits, the rest."""
PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z ./\-]{2,38}[0-9A-Za-z]")
ALSO = {"CH": ("uid",), "DE": ("stnr",), "NO": ("orgnr",)}
"""What companies there write beside the number with which they pay VAT."""
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
) -> Details:
    """What a customer wrote, or `InvoiceError` naming the field.

    A company has a tax number, a person may; a special fapiao is for companies alone, any fapiao for China. The
    country may be left out: a number with the places of a Chinese credit code is checked as one.
    """
    _must_be_one_of(invoice_type, Type.values, "invoice_type")
    _must_be_one_of(buyer_kind, BuyerKind.values, "buyer_kind")
    _must_be_one_of(delivery, Delivery.values, "delivery")
    is_fapiao = invoice_type != Type.COMMERCIAL
    if invoice_type == Type.FAPIAO_SPECIAL and buyer_kind != BuyerKind.COMPANY:
        raise InvoiceError(_("A special fapiao is for companies alone."), field="buyer_kind")
    country = country.strip().upper() or ("CN" if is_fapiao else "")
    if country and country not in countries():
        raise InvoiceError(_("Enter the country's two letters, such as CN or DE."), field="country")
    if is_fapiao and country != "CN":
        raise InvoiceError(_("A fapiao is for buyers in China."), field="country")
    details = Details(
        invoice_type=invoice_type,
        buyer_kind=buyer_kind,
        company_name=_text(company_name, "company_name", most=200),
        tax_id=_tax_id(tax_id, country=country, buyer_kind=buyer_kind),
        country=country,
        billing_address=_text(billing_address, "billing_address", most=500, lines=True),
        delivery=delivery,
        email=_email(email),
        mailing_address=_text(mailing_address, "mailing_address", most=500, lines=True),
        remark=_text(remark, "remark", most=200),
    )
    if not details.company_name:
        raise InvoiceError(_("Enter the name for the invoice."), field="company_name")
    if delivery == Delivery.EMAIL and not details.email:
        raise InvoiceError(_("Enter the address the invoice is mailed to."), field="email")
    if delivery == Delivery.POST and not details.mailing_address:
        raise InvoiceError(_("Enter the address the invoice is posted to."), field="mailing_address")
    return details


@cache
def countries() -> frozenset[str]:
    """The two-letter codes of ISO 3166, from the time zone database."""
    table = (resources.files("tzdata.zoneinfo") / "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line.split("\t")[0] for line in table.splitlines() if line and not line.startswith("#"))


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


def _tax_id(value: str, *, country: str, buyer_kind: str) -> str:
    """The number in its compact form. What python-stdnum knows of the country decides; raises `InvoiceError`."""
    value = _text(value, "tax_id", most=60)
    if not value:
        if buyer_kind == BuyerKind.COMPANY:
            raise InvoiceError(_("Enter the company's tax number."), field="tax_id")
        return ""
    if not country and LOOKS_CHINESE.fullmatch(value.upper().replace(" ", "")):
        country = "CN"
    forms = _forms(country, buyer_kind)
    for form in forms:
        try:
            number = str(form.validate(value))
        except WrongNumber:
            continue
        if country.lower() in eu_vat.MEMBER_STATES and form is get_cc_module(country.lower(), "vat"):
            return {"GR": "EL"}.get(country, country) + number  # as it is written on invoices
        return number
    if forms:
        raise InvoiceError(
            _("This is no tax number of %(country)s: look for a digit too many or two in the wrong order.")
            % {"country": country},
            field="tax_id",
        )
    if not PLAIN.fullmatch(value) or not any(char.isdigit() for char in value):
        raise InvoiceError(_("Enter the tax number in letters and digits."), field="tax_id")
    return value.upper()


def _forms(country: str, buyer_kind: str) -> "list[NumberValidationModule]":
    """The checks of which one has to agree; none where the format is not known."""
    if country == "CN":
        return [uscc, ric] if buyer_kind == BuyerKind.INDIVIDUAL else [uscc]
    if country == "US":
        return [tin]
    if not country:
        return []
    names = ("vat", *ALSO.get(country, ()))
    return [form for name in names if (form := get_cc_module(country.lower(), name)) is not None]
