"""`/api/docs/`: the description as a page of the site, where each operation may be tried with a key of one's own."""

from threading import Lock

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from api.reference import document, shown

_lock = Lock()
_kept: dict[str, SafeString] = {}


@gzip_page
@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Everybody's; the shell around it is the reader's own."""
    return render(request, "api/reference.html", {"nav": "api", "reference": _operations()})


def _operations() -> SafeString:
    """All operations in the reader's language; made once for each language."""
    language = get_language() or settings.LANGUAGE_CODE
    with _lock:
        if language not in _kept:
            groups = shown.grouped(document.read(), site=settings.SITE_URL)
            _kept[language] = render_to_string("api/groups.html", {"groups": groups})
        return _kept[language]
