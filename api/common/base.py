"""The REST API's common ground: error shape, pagination, how an amount is read."""

import json
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from core.web.errors import CODES, error_body

MOST_DEPTH = 20
"""Of a body; none of ours has more than three levels."""
RETRY_AFTER_SECONDS = 5
"""Of a 503 that knows nothing better."""


class ApiError(exceptions.APIException):
    """An error with its `status` and `code`, and the field it is about where there is one."""

    def __init__(
        self, message: str, *, status: int, code: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.param = param
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
            data = json.loads(stream.read().decode("utf-8-sig"))
        except ValueError as error:
            raise exceptions.ParseError(f"The body is not JSON: {error}"[:200]) from None
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


KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key and body, sent again within 24 hours, get the first answer.",
)


def refused(error: Any) -> ApiError:
    """A domain's no, which has the text, the `field` at fault, and `retry_after` where there is room again later."""
    if error.retry_after is not None:
        return ApiError(str(error), status=429, code="rate_limit_exceeded", retry_after=error.retry_after)
    return ApiError(str(error), status=400, code="validation_error", param=error.field)


def amount_text(data: dict[str, Any]) -> str | int:
    """The field `amount` as it was written; raises `ApiError` for anything that cannot be an exact amount.

    A JSON number with a fraction is binary by the time it is here; what the caller meant cannot be known.
    """
    amount = data.get("amount")
    if not isinstance(amount, str | int) or isinstance(amount, bool):
        raise ApiError(
            '`amount` must be a string such as "20.00".', status=400, code="validation_error", param="amount"
        )
    return amount


class NewestFirst(CursorPagination):
    """Lists are `{"data": [...], "next", "previous"}`, newest first."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 200

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
        link = {"type": "string", "nullable": True, "format": "uri"}
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
    message, param = _first_fault(exc.detail)
    code = CODES.get(response.status_code, "internal_error")
    if isinstance(exc, ApiError) or exc.get_codes() in ("invalid_api_key", "ip_not_allowed"):
        code = str(exc.get_codes())
        param = getattr(exc, "param", None)
    response.data = error_body(message=message, status=response.status_code, code=code, param=param)
    return response


def _first_fault(detail: Any, path: str = "") -> tuple[str, str | None]:
    if isinstance(detail, dict):
        field, inner = next(iter(detail.items()))
        name = path if field == "non_field_errors" else f"{path}.{field}".lstrip(".")
        return _first_fault(inner, name)
    if isinstance(detail, list):
        return _first_fault(detail[0], path)
    return (f"{path}: {detail}" if path else str(detail)), path or None


@csrf_exempt
def unknown_path(request: HttpRequest, rest: str) -> JsonResponse:
    """A path below /v1/ that nothing serves."""
    message = f"There is no {request.method} /v1/{rest[:100]} here."
    return JsonResponse(error_body(message=message, status=404, code="not_found"), status=404)
