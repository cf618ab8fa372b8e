"""Request ids, the content policies of the pages that bring their own scripts, and a character no form may hold."""

import secrets
from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

# Unfold runs on Alpine, which evaluates expressions; Swagger UI writes inline styles.
SCRIPTED_PAGES = ("/admin/", "/api/docs/")
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
        if request.path.startswith(SCRIPTED_PAGES):
            response.setdefault("Content-Security-Policy", SCRIPTED_POLICY)
        return response


class NoNul:
    """A form with a NUL in it is refused: PostgreSQL keeps none, and no keyboard writes one.

    Not for what payment providers send, whose bodies are theirs to read.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_ours = request.method == "POST" and not request.path.startswith(("/payments/", "/v1/"))
        if is_ours and any("\0" in text for name, values in request.POST.lists() for text in (name, *values)):
            raise BadRequest("a NUL in a form")
        return self.get_response(request)


def new_request_id() -> str:
    return "req-" + secrets.token_hex(12)
