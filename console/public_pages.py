"""Pages that are the same for everybody who has not logged in: made once for each state of the catalog."""

import re
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.utils.translation import get_language

from proxy.prices import catalog

Page = Callable[[HttpRequest], HttpResponse]

TOKEN = re.compile(rb'(?<=name="csrfmiddlewaretoken" value=")[^"]+')
"""Each reader's own, in the forms of the page's head."""

OWN = (settings.SESSION_COOKIE_NAME, "messages")
"""Cookies of who may have something of their own to read; any others are not ours."""
SEARCH = "q"

kept: dict[tuple[str, str | None], tuple[int, bytes]] = {}
"""By page and language: the catalog's version, and the page."""


def made_once(view: Page) -> Page:
    """Serve an anonymous reader the page as it was made for the first one, with the reader's own token in its forms.

    Settings are read at the start alone, so what is shown changes with the catalog alone. Searches are not kept.
    """

    @wraps(view)
    def serve(request: HttpRequest) -> HttpResponse:
        is_own = not request.COOKIES.keys().isdisjoint(OWN)
        if not settings.KEEP_PAGES or is_own or SEARCH in request.GET:
            return view(request)  # somebody who is logged in, or has a message to read
        page, version = (view.__name__, get_language()), catalog.read_version()
        found = kept.get(page)
        if found is None or found[0] != version:
            answer = view(request)
            if answer.status_code == 200 and not request.GET:
                kept[page] = version, answer.content
            return answer
        return HttpResponse(TOKEN.sub(get_token(request).encode(), found[1]))

    return serve
