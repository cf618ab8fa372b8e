"""The way to draw for who may never draw: its libraries take 30 MB, which a gateway process does without."""

from collections.abc import Mapping
from typing import Any

from billing.models import Document, Paper


def render(document: Document) -> bytes:
    """The document as a PDF: `pdf.render`, whose libraries are imported at the first one."""
    from billing.invoices.papers import pdf

    return pdf.render(document)


def draw(kind: Paper.Kind, facts: Mapping[str, Any], *, locale: str) -> bytes:
    """A paper that is no invoice as a PDF, from what it says."""
    from billing.invoices.papers import receipt, statement

    renders = {Paper.Kind.RECEIPT: receipt.render, Paper.Kind.STATEMENT: statement.render}
    return renders[kind](facts, locale=locale)
