"""The way to `pdf.render` for who may never draw: its libraries take 30 MB, which a gateway process does without."""

from datetime import datetime

from django.conf import settings

from billing.models import Document


def render(document: Document) -> bytes:
    """The document as a PDF: `pdf.render`, whose libraries are imported at the first one."""
    from billing.invoices import pdf

    return pdf.render(document)


def day_of(moment: datetime) -> str:
    """The day as documents say it, in the desk's time zone."""
    return moment.astimezone(settings.BUSINESS_TIME_ZONE).date().isoformat()
