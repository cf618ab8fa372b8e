"""Receipts and statements: each is drawn once in a language, kept, and given out as it is kept ever after."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from billing.invoices.core import language
from billing.invoices.papers import drawing
from billing.models import Paper


def paper(
    kind: Paper.Kind,
    *,
    customer_id: int,
    number: str,
    locale: str,
    facts: Callable[[str], Mapping[str, Any]],
    now: datetime,
) -> Paper:
    """The paper in a language; `facts` is asked, with that language, when there is none yet.

    Two who ask at once both get the one that was kept first.
    """
    locale = language(locale)
    kept = Paper.objects.filter(customer_id=customer_id, kind=kind, number=number, locale=locale)
    found = kept.first()
    if found is not None:
        return found
    said = dict(facts(locale))
    content = drawing.draw(kind, said, locale=locale)
    made = Paper(customer_id=customer_id, kind=kind, number=number, locale=locale, facts=said, content=content)
    made.sha256, made.made_at = hashlib.sha256(content).hexdigest(), now
    Paper.objects.bulk_create([made], ignore_conflicts=True)
    return kept.get()
