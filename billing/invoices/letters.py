"""What a customer is told at each step of an invoice, in the language it was asked in."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact
from billing.requests.workdays import day_of

WORDS = tuple(kind for kind in Fact if kind.startswith("invoice."))
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail about a step, to all of the customer's members.

    A document goes along as a file, to the address that the customer gave for it too.
    """
    data, document = event.data, event.data["document"]
    with translation.override(data["locale"]):
        subject, text = _words(event.kind, data)
        text += mail.who_asked(data["asked_from"], now=event.created_at)
    link = f"{settings.SITE_URL}/console/invoices/{data['number']}"
    return mail.Letter(
        to=mail.members_of(event.customer_id, also=[data["email"]] if document and data["email"] else []),
        about=data["number"],
        subject=subject,
        body=mail.signed(f"{text}\n\n{link}"),
        document_id=document["id"] if document and document["has_file"] else None,
    )


def _words(kind: str, data: dict[str, Any]) -> tuple[str, str]:
    document = data["document"] or {"number": "", "gross": "0", "refers_to": ""}
    values = {
        "amount": f"{data['amount']} {data['currency']}",
        "credited": f"{-Decimal(document['gross'])} {data['currency']}",
        "buyer": data["buyer"],
        "document": document["number"],
        "first": document["refers_to"],
        "day": day_of(datetime.fromisoformat(data["due_at"])),
        "words": data["decision"],
        "carrier": data["carrier"],
        "tracking": data["tracking"],
    }
    subjects: dict[str, str] = {
        Fact.INVOICE_ASKED: _("We received your invoice request"),
        Fact.INVOICE_ISSUED: _("Your invoice %(document)s"),
        Fact.INVOICE_DENIED: _("Your invoice request was declined"),
        Fact.INVOICE_POSTED: _("Your invoice is in the post"),
        Fact.INVOICE_CREDITED: _("Credit note %(document)s"),
        Fact.INVOICE_REPLACED: _("Your invoice will be made anew"),
    }
    texts: dict[str, str] = {
        Fact.INVOICE_ASKED: _("You asked for an invoice over %(amount)s for %(buyer)s. We make it by %(day)s."),
        Fact.INVOICE_ISSUED: _("Your invoice %(document)s over %(amount)s for %(buyer)s is made."),
        Fact.INVOICE_DENIED: _("We declined your request for an invoice over %(amount)s.") + "\n\n%(words)s",
        Fact.INVOICE_POSTED: _("Your invoice over %(amount)s left with %(carrier)s. Tracking number: %(tracking)s"),
        Fact.INVOICE_CREDITED: _("%(document)s takes back %(credited)s of %(first)s."),
        Fact.INVOICE_REPLACED: _(
            "We credited your invoice and make a new one over %(amount)s for %(buyer)s by %(day)s."
        ),
    }
    return subjects[kind] % values, (texts[kind] % values).strip()
