"""What the description tells, in the reader's language, with `code` in backquotes."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

register = template.Library()
CODE = re.compile("`([^`]+)`")


@register.simple_tag
def told(text: str) -> SafeString:
    """A sentence of the description; texts of its own are in `locale` like any other."""
    if not text:
        return SafeString()
    return mark_safe(CODE.sub(r"<code>\1</code>", str(escape(gettext(text)))))  # noqa: S308 - it is escaped


@register.filter
def rows(text: str) -> int:
    """How high the field for a text is."""
    return min(16, text.count("\n") + 2)
