"""Request ids, the content policies of the pages that bring their own scripts, what holds for all of the API's answers,
and a character that PostgreSQL keeps in no text.
"""

import logging
import secrets
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.exceptions import BadRequest, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError

from core.web import cors
from core.web.errors import CODES, FINAL, MESSAGES, compressed, error_body
from core.web.paths import is_api

log = logging.getLogger(__name__)

# Unfold runs on Alpine, which evaluates expressions.
SCRIPTED_PAGES = ("/admin/",)
SCRIPTED_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class RequestId:
    """Give every answer an `X-Request-Id`, and the scripted pages their policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.request_id = new_request_id()  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            response.setdefault("Cache-Control", "no-store")  # what somebody's own pages show is kept nowhere
        if request.path.startswith(SCRIPTED_PAGES):
            response.setdefault("Content-Security-Policy", SCRIPTED_POLICY)
        return response


class ApiAnswers:
    """What the API answers is JSON, whoever of Django's refused; no cache keeps it, and browsers may read it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_api(request.path_info):
            return self.get_response(request)
        encoding = request.headers.get("Content-Encoding", "")
        response = _refused(415, compressed(encoding)) if compressed(encoding) else self._answer(request)
        if response.status_code >= 400 and not response.get("Content-Type", "").startswith("application/json"):
            allow = response.get("Allow")
            response = _refused(response.status_code, "")
            if allow is not None:
                response["Allow"] = allow
        if response.status_code in FINAL:
            response.setdefault("X-Should-Retry", "false")
        response.setdefault("Cache-Control", "no-store")
        rate = getattr(request, "rate", None)
        for name, value in rate.headers.items() if rate is not None else ():
            response[name] = value
        for name, value in cors.HEADERS.items():
            response[name] = value
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        """What Django's own pages of an error fail of (a Host that is none, a form that is none) is an error too."""
        try:
            return self.get_response(request)
        except (BadRequest, SuspiciousOperation, MultiPartParserError) as error:
            log.info("%s: %s", type(error).__name__, request.path_info[:100])
            return _refused(400, "")
        except Exception:
            log.exception("no page of an error could be made")
            return _refused(500, "")


def _refused(status: int, message: str) -> JsonResponse:
    text = message or MESSAGES.get(status, MESSAGES[500 if status >= 500 else 400])
    code = CODES.get(status, "internal_error" if status >= 500 else "validation_error")
    return JsonResponse(error_body(message=text, status=status, code=code), status=status)


LOOKED_FOR = ("q", "id", "model", "before", "after")
"""Parameters that name something to be found; with a NUL it is not there, as any other that is unknown."""
NOBODYS = "%EF%BF%BD"
"""U+FFFD, which stands for what could not be read."""


class NoNul:
    """An address, a cookie or a form with a NUL in it is refused: PostgreSQL keeps none, and no keyboard writes one.

    Not for what payment providers send, whose bodies are theirs to read.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.encoding is not None:
            request.encoding = "utf-8"  # what the body is written in, whatever codec of Python's its type names
        if "\0" in request.path_info:
            raise Http404
        query = request.META.get("QUERY_STRING", "")
        if "%00" in query:
            if any("%00" in pair and pair.partition("=")[0] not in LOOKED_FOR for pair in query.split("&")):
                raise BadRequest("a NUL in an address")
            request.META["QUERY_STRING"] = query.replace("%00", NOBODYS)
        if any("\0" in value for value in request.COOKIES.values()):
            raise BadRequest("a NUL in a cookie")
        is_form = request.method == "POST" and not request.path_info.startswith("/payments/")
        if is_form and not is_api(request.path_info) and any("\0" in text for text in _texts(request)):
            raise BadRequest("a NUL in a form")
        return self.get_response(request)


def _texts(request: HttpRequest) -> Iterator[str]:
    for name, values in request.POST.lists():
        yield from (name, *values)
    for name, files in request.FILES.lists():
        yield from (name, *(file.name or "" for file in files))


def new_request_id() -> str:
    return "req-" + secrets.token_hex(12)
