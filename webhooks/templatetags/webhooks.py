"""How what is posted is shown."""

import json

from django import template

register = template.Library()
SHOWN = 1024


@register.filter
def first_kb(body: str) -> str:
    """The beginning of a body, a member a line."""
    text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
