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
    return coded(gettext(text)) if text else SafeString()


@register.filter
def coded(text: str) -> SafeString:
    """A text as it is sent, such as an error's message, which has one language."""
    return mark_safe(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S308 - it is escaped


@register.filter
def rows(text: str) -> int:
    """How high the field for a text is."""
    return min(16, text.count("\n") + 2)
