"""QR codes as inline SVG."""

import segno
from django.utils.safestring import SafeString, mark_safe


def svg(text: str) -> SafeString:
    """A QR code that scales with its box, dark on white in either colour scheme."""
    code = segno.make(text, error="m", micro=False)
    drawing = code.svg_inline(omitsize=True, border=2, dark="#191c20", light="#ffffff", svgclass="qr", lineclass=None)
    return mark_safe(drawing)  # noqa: S308  segno writes numbers and colours only
