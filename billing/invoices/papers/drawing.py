"""The way to `pdf.render` for who may never draw: its libraries take 30 MB, which a gateway process does without."""

from billing.models import Document


def render(document: Document) -> bytes:
    """The document as a PDF: `pdf.render`, whose libraries are imported at the first one."""
    from billing.invoices.papers import pdf

    return pdf.render(document)
