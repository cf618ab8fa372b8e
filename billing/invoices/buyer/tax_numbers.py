"""Numbers of taxpayers: in their one form, checked by what their country's registers are known to issue.

A check character that does not fit is nearly always a typing slip, but registers have issued such numbers: the buyer
may say that it was looked at, and the desk sees it. It never changes a price or a tax.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from stdnum import get_cc_module
from stdnum.cn import ric, uscc
from stdnum.eu import vat as eu_vat
from stdnum.exceptions import InvalidChecksum, InvalidComponent
from stdnum.exceptions import ValidationError as WrongNumber
from stdnum.jp import cn as houjin
from stdnum.tw import ubn
from stdnum.us import tin

from billing.invoices.core import InvoiceError

if TYPE_CHECKING:
    from stdnum.util import NumberValidationModule

Check = Callable[[str], str]
"""Returns a number's compact form; raises python-stdnum's `ValidationError`."""
SAME_COUNTRY = {"UK": "GB", "EL": "GR"}
"""What tax offices write, by ISO 3166."""
LOOKS_CHINESE = re.compile(r"[0-9A-Z]{2}[0-9]{6}[0-9A-Z]{10}")
"""A unified social credit code's places: who registered it, the division's six digits, the rest."""
OLD_CHINESE = re.compile(r"[0-9A-Z]{15}|[0-9A-Z]{20}")
"""Taxpayers' numbers from before the credit code, 15 places, and of individual businesses, 20."""
PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z ./\-]{2,38}[0-9A-Za-z]")
ALSO = {"CH": ("uid",), "DE": ("stnr",), "NO": ("orgnr",)}
"""What companies there write beside the number with which they pay VAT."""


@dataclass(frozen=True, slots=True)
class TaxNumber:
    """A number as it is kept; `is_doubtful` where its check character does not fit and the buyer stands by it."""

    text: str = ""
    is_doubtful: bool = False


def iso_country(text: str) -> str:
    """The country's two letters as ISO 3166 has them; "" for none."""
    letters = unicodedata.normalize("NFKC", text).strip().upper()
    return SAME_COUNTRY.get(letters, letters)


def is_needed(country: str, *, is_company: bool) -> bool:
    """Whether the buyer has to give one: companies of the EU and of China, and where no country is named."""
    return is_company and (country in ("", "CN") or country.lower() in eu_vat.MEMBER_STATES)


def checked_number(value: str, *, country: str, is_company: bool, is_confirmed: bool) -> TaxNumber:
    """The number in its compact form, full-width characters made plain; raises `InvoiceError`.

    `is_confirmed`: the buyer, or staff, looked at it and it is right.
    """
    value = unicodedata.normalize("NFKC", value).strip()
    if not value:
        if is_needed(country, is_company=is_company):
            raise _wrong(_("Enter the company's tax number."))
        return TaxNumber()
    if not country and LOOKS_CHINESE.fullmatch(value.upper().replace(" ", "")):
        country = "CN"
    checks = _checks(country, is_company=is_company)
    slip = False
    for check in checks:
        try:
            return TaxNumber(_written(check(value), check, country))
        except (InvalidChecksum, InvalidComponent):
            slip = True
        except WrongNumber:
            continue
    if not checks:
        if not PLAIN.fullmatch(value) or not any(char.isdigit() for char in value):
            raise _wrong(_("Enter the tax number in letters and digits."))
        return TaxNumber(value.upper())
    if not slip:
        raise _wrong(
            _("This is no tax number of %(country)s: look for a digit too many or two in the wrong order.")
            % {"country": country}
        )
    if not is_confirmed:
        raise _wrong(
            _("Its check digit does not fit: look for two digits in the wrong order. If it is right, tick that below.")
        )
    return TaxNumber(re.sub(r"[^0-9A-Z]", "", value.upper())[:40], is_doubtful=True)


def _written(number: str, check: Check, country: str) -> str:
    """As it stands on invoices: a VAT number of the EU with its country's letters, a Japanese one with its T."""
    if country.lower() in eu_vat.MEMBER_STATES and check == _module_check(country, "vat"):
        return {"GR": "EL"}.get(country, country) + number
    return "T" + number if country == "JP" else number


def _checks(country: str, *, is_company: bool) -> list[Check]:
    """The checks of which one has to agree; none where the format is not known."""
    match country:
        case "":
            return []
        case "CN":
            return [_credit_code, _old_chinese] if is_company else [_credit_code, ric.validate, _old_chinese]
        case "US":
            return [tin.validate]
        case "TW":
            return [_taiwanese]
        case "JP":
            return [_japanese]
    found = [_module_check(country, name) for name in ("vat", *ALSO.get(country, ()))]
    return [check for check in found if check is not None]


def _module_check(country: str, name: str) -> Check | None:
    module: NumberValidationModule | None = get_cc_module(country.lower(), name)
    return module.validate if module is not None else None


def _credit_code(value: str) -> str:
    """GB 32100; a code whose second or later places python-stdnum does not expect may have been issued all the same."""
    number = uscc.compact(value)
    if len(number) == 18 and number.isascii() and number.isalnum():
        try:
            return str(uscc.validate(number))
        except WrongNumber:
            raise InvalidChecksum from None
    return str(uscc.validate(number))


def _old_chinese(value: str) -> str:
    number = uscc.compact(value)
    if not OLD_CHINESE.fullmatch(number):
        raise WrongNumber
    return number


def _taiwanese(value: str) -> str:
    """The sum may be divisible by 5 since April 2023, by 10 before: the Ministry of Finance ran out of numbers."""
    number = ubn.compact(value)
    try:
        return str(ubn.validate(number))
    except InvalidChecksum:
        total = ubn.calc_checksum(number)
        if total % 5 == 0 or (number[6] == "7" and (total + 1) % 5 == 0):
            return number
        raise


def _japanese(value: str) -> str:
    """A qualified invoice issuer's number is T and the 13 digits of the corporate number."""
    return str(houjin.validate(value.upper().strip().removeprefix("T")))


def _wrong(text: str) -> InvoiceError:
    return InvoiceError(text, field="tax_id")
