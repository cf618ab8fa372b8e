"""The REST API's common ground: error shape, pagination, how an amount is read."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from core.states import machine_of
from core.web.errors import CODES, error_body

MOST_DEPTH = 20
"""Of a body; none of ours has more than three levels."""
RETRY_AFTER_SECONDS = 5
"""Of a 503 that knows nothing better."""


class ApiError(exceptions.APIException):
    """An error with its `status` and `code`, and the field it is about where there is one; all of them in `errors`."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        param: str | None = None,
        errors: Sequence[dict[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.param = param
        self.errors = errors
        if retry_after is None and status == 503:
            retry_after = RETRY_AFTER_SECONDS
        self.wait = retry_after  # DRF's name: seconds, in the Retry-After header


class JsonBody(JSONParser):
    """A JSON body of texts that can be stored, not nested deeper than any of ours is.

    NaN and Infinity are numbers here, so that the answer can name the field they stand in. Half a character
    (`"\\ud800"`) and NUL are refused: PostgreSQL keeps no text that has them.
    """

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            data = json.loads(stream.read().decode("utf-8-sig"), object_pairs_hook=_once)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise exceptions.ParseError(f"The body is not JSON: {error}"[:200]) from None
        except Twice as error:
            raise self._refused("The body names this field twice.", param=str(error)) from None
        except ValueError:  # Python reads no number of more than 4,300 digits
            raise self._refused("The body holds a number of too many digits.") from None
        except RecursionError:
            raise self._refused("The body is nested too deeply.") from None
        for name, value in data.items() if isinstance(data, dict) else [(None, data)]:
            if why := _unfit([name, value]):
                raise self._refused(f"The body {why}.", param=name)
        return data

    @staticmethod
    def _refused(message: str, *, param: str | None = None) -> ApiError:
        # The name itself may be what cannot be sent back.
        named = None if param is None else param.encode("utf-8", "replace").decode()[:100]
        return ApiError(message, status=400, code="validation_error", param=named)


class Twice(ValueError):
    """An object has two members of this name: which of them is meant cannot be known (RFC 8259, section 4)."""


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members:
        if name in found:
            raise Twice(name)
        found[name] = value
    return found


def _unfit(data: Any) -> str:
    """Why a value can be none of ours, or ""."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            return "is nested too deeply"
        if isinstance(value, str):
            if "\0" in value:
                return "holds a NUL, which is no text"
            try:
                value.encode()
            except UnicodeEncodeError:
                return "holds half a character, which is no text"
        elif isinstance(value, dict):
            waiting += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
    return ""


class AnyAccepted(DefaultContentNegotiation):
    """For answers that are files: whatever `Accept` says, the path says what comes. Errors are JSON."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def state_conflict(row: Any, words: str) -> ApiError:
    """409: the row's state does not lead where it was to go; the message says what it is and what it may become."""
    row.refresh_from_db(fields=["state"])
    machine = machine_of(type(row))
    leads = ", ".join(f"`{to}`" for to in machine.states.values if machine.allows(row.state, to))
    told = f"It is `{row.state}`, and may become {leads}." if leads else f"It is `{row.state}`, and stays so."
    return ApiError(f"{words} {told}", status=409, code="state_conflict")


def refused(error: Any) -> ApiError:
    """A domain's no, which has the text, the `field` at fault, maybe further `faults`, and `retry_after` where there is
    room again later.
    """
    if error.retry_after is not None:
        return ApiError(str(error), status=429, code="rate_limit_exceeded", retry_after=error.retry_after)
    faults = [
        {"param": fault.field, "code": "invalid", "message": str(fault)} for fault in getattr(error, "faults", [error])
    ]
    return ApiError(str(error), status=400, code="validation_error", param=error.field, errors=faults)


MOST_ROWS, USUAL_ROWS = 200, 50
"""Of a list's page."""


def page_limit(request: Request) -> int:
    """How many rows a list's page is to have; raises 400 for a `limit` that is none."""
    text = request.query_params.get("limit", "")
    if not text:
        return USUAL_ROWS
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= MOST_ROWS:
        words = f"`limit` is a whole number from 1 to {MOST_ROWS}."
        raise ApiError(words, status=400, code="validation_error", param="limit")
    return int(text)


def own_address(request: Request) -> str:
    """Where the request went, on `SITE_URL`, whatever name it was sent to."""
    return f"{settings.SITE_URL}{request.get_full_path()}"


class NewestFirst(CursorPagination):
    """Lists are `{"data": [...], "next", "previous"}`, newest first."""

    ordering = "-id"
    page_size_query_param = "limit"
    page_size_query_description = "1 to 200, 50 unless named."
    cursor_query_description = "From `next` or `previous`."
    max_page_size = MOST_ROWS

    def get_page_size(self, request: Request) -> int:
        return page_limit(request)

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        page: Any = super().paginate_queryset(queryset, request, view)
        self.base_url = own_address(request)
        return page

    def decode_cursor(self, request: Request) -> Any:
        """The cursor's place in the list, which is an id; raises 400 for one that we have not given out."""
        try:
            cursor = super().decode_cursor(request)
        except exceptions.NotFound:
            raise _wrong_cursor() from None
        position: Any = None if cursor is None else cursor.position
        if position is not None and not (position.isascii() and position.isdigit() and len(position) <= 18):
            raise _wrong_cursor()
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["data", "next", "previous"],
            "properties": {"data": schema, "next": link, "previous": link},
        }


def _wrong_cursor() -> ApiError:
    text = "`cursor` comes from `next` or `previous`."
    return ApiError(text, status=400, code="validation_error", param="cursor")


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answers in the API's shape. What DRF does not expect travels on and becomes a 500."""
    from rest_framework.views import exception_handler as plain  # not above: it reads our classes as its defaults

    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, exceptions.UnsupportedMediaType):
        exc = exceptions.ParseError("Send a JSON body, with `Content-Type: application/json`.")
    response = plain(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    faults = list(_faults(exc.detail))
    first, errors = faults[0], [fault for fault in faults if fault["param"]]
    message, param = first["message"], first["param"] or None
    if param is not None:
        message = f"{param}: {message}"
    code = CODES.get(response.status_code, "internal_error")
    if isinstance(exc, ApiError) or exc.get_codes() in ("invalid_api_key", "ip_not_allowed"):
        code = str(exc.get_codes())
        param, errors = getattr(exc, "param", None), list(getattr(exc, "errors", ()))
    response.data = error_body(message=message, status=response.status_code, code=code, param=param, errors=errors)
    return response


def _faults(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Each fault that a serializer found, with the dotted name of its field, "" for none."""
    if isinstance(detail, dict):
        for field, inner in detail.items():
            yield from _faults(inner, path if field == "non_field_errors" else f"{path}.{field}".lstrip("."))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _faults(inner, path)
    else:
        yield {"param": path, "code": str(getattr(detail, "code", "invalid")), "message": str(detail)}


@csrf_exempt
def unknown_path(request: HttpRequest, rest: str) -> JsonResponse:
    """A path below /v1/ that nothing serves."""
    message = f"There is no {request.method} /v1/{rest[:100]} here."
    return JsonResponse(error_body(message=message, status=404, code="not_found"), status=404)
