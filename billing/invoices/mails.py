"""What a customer is told at each step of an invoice, in the language it was asked in."""

from datetime import datetime

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Document, InvoiceRequest
from billing.outbox import mail
from billing.requests.workdays import day_of


def tell(
    request: InvoiceRequest, step: str, *, now: datetime, document: Document | None = None, asked_from: str = ""
) -> None:
    """Write the mail of a step: asked, issued, denied, posted, credited or replaced. In the step's transaction.

    A document goes along as a file, to the members and to the address that the customer gave for it.
    `asked_from` is the address that a request of a customer's came from.
    """
    with translation.override(request.locale):
        subject, text = _words(request, step, document)
        link = f"{settings.SITE_URL}/console/invoices/{request.number}"
        text += mail.who_asked(asked_from, now=now)
        mail.write(
            customer=request.customer,
            about=request.number,
            subject=subject,
            body=f"{text}\n\n{link}",
            now=now,
            document=document if document is not None and document.content else None,
            also=[request.email] if document is not None and request.delivery == "email" and request.email else [],
        )


def _words(request: InvoiceRequest, step: str, document: Document | None) -> tuple[str, str]:
    values = {
        "amount": f"{request.amount} {request.currency}",
        "credited": f"{-document.gross if document is not None else request.credited} {request.currency}",
        "buyer": request.company_name,
        "document": document.number if document is not None else "",
        "first": document.refers_to.number if document is not None and document.refers_to is not None else "",
        "day": day_of(request.due_at),
        "words": request.decision,
        "carrier": request.carrier,
        "tracking": request.tracking,
    }
    subjects = {
        "asked": _("We received your invoice request"),
        "issued": _("Your invoice %(document)s"),
        "denied": _("Your invoice request was declined"),
        "posted": _("Your invoice is in the post"),
        "credited": _("Credit note %(document)s"),
        "replaced": _("Your invoice will be made anew"),
    }
    texts = {
        "asked": _("You asked for an invoice over %(amount)s for %(buyer)s. We make it by %(day)s."),
        "issued": _("Your invoice %(document)s over %(amount)s for %(buyer)s is made."),
        "denied": _("We declined your request for an invoice over %(amount)s.") + "\n\n%(words)s",
        "posted": _("Your invoice over %(amount)s left with %(carrier)s. Tracking number: %(tracking)s"),
        "credited": _("%(document)s takes back %(credited)s of %(first)s."),
        "replaced": _("We credited your invoice and make a new one over %(amount)s for %(buyer)s by %(day)s."),
    }
    return subjects[step] % values, (texts[step] % values).strip()
