"""Model ids as people read them."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def model_id(slug: str) -> SafeString:
    """`provider/name`, which may break after the slash and nowhere else unless it must."""
    provider, _, name = slug.partition("/")
    return format_html('<span class="soft">{}/</span><wbr>{}', provider, name)
