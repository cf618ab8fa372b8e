"""The REST API's common ground: error shape, pagination, how an amount is read."""

import json
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from chuizi.errors import CODES, error_body


class ApiError(exceptions.APIException):
    """An error with the contract's `status` and `code`, and the field it is about where there is one."""

    def __init__(
        self, message: str, *, status: int, code: str, param: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message, code)
        self.status_code = status
        self.param = param
        self.wait = retry_after  # DRF's name: seconds, in the Retry-After header


class Numbers(JSONParser):
    """JSON in which NaN and Infinity are numbers, so that the answer can name the field they stand in.

    Halves of characters (`"\\ud800"`) are refused: no text that can be stored or sent has them.
    """

    strict = False

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        data = super().parse(stream, media_type, parser_context)
        for name, value in data.items() if isinstance(data, dict) else [(None, data)]:
            try:
                json.dumps([name, value], ensure_ascii=False).encode()
            except UnicodeEncodeError:
                message = "The body holds half a character, which is no text."
                raise ApiError(message, status=400, code="validation_error", param=_sendable(name)) from None
        return data


def _sendable(name: str | None) -> str | None:
    return None if name is None else name.encode("utf-8", "replace").decode()


KEY_HEADER = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key and body, sent again within 24 hours, get the first answer.",
)


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

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next": self.get_next_link(), "previous": self.get_previous_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["data", "next", "previous"],
            "properties": {"data": schema, "next": link, "previous": link},
        }


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's answers in the contract's shape. What DRF does not expect travels on and becomes a 500."""
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    elif isinstance(exc, exceptions.UnsupportedMediaType):
        exc = exceptions.ParseError("Send a JSON body, with `Content-Type: application/json`.")
    response = drf_exception_handler(exc, context)
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
