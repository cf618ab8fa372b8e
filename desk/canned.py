"""Sentences that support writes again and again, in the customer's language."""

from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Canned:
    """`shown` is in the language of whoever reads the desk, `text` in the customer's."""

    shown: str
    text: str


APPROVING: tuple[Any, ...] = (
    _("Thank you for trying us. The money goes back the way it was paid."),
    _("A part of it is used already: what is left goes back."),
)
DENYING: tuple[Any, ...] = (
    _("This balance is used already, so there is nothing left to send back."),
    _("Bonus was given, not paid, and cannot be sent back."),
    _("The payment is disputed at your bank, which decides about it."),
    _("You told us that you no longer want the refund."),
)
ASKING: tuple[Any, ...] = (
    _("Why would you like the money back? If something did not work, we may be able to mend it."),
    _("Which payment is it about? Please name its day and amount."),
    _("The payment is too old for its provider. To which bank account may we send the money (name, IBAN or number)?"),
)
DENYING_INVOICES: tuple[Any, ...] = (
    _("The tax number does not belong to this name. Please check both and ask again."),
    _("What you paid is invoiced already; you find the document on this page."),
    _("You told us that you no longer want the invoice."),
)


def canned(locale: str) -> dict[str, list[Canned]]:
    """The sentences by the act that they go with."""
    return {act: said_in(locale, texts) for act, texts in (("approve", APPROVING), ("deny", DENYING), ("ask", ASKING))}


def said_in(locale: str, texts: tuple[Any, ...]) -> list[Canned]:
    """The sentences in a customer's language."""
    return [_said(text, locale) for text in texts]


def _said(text: Any, locale: str) -> Canned:
    with translation.override(locale):
        theirs = str(text)
    return Canned(str(text), theirs)
