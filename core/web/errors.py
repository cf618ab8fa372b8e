"""How the API says no: its statuses, types and codes, in OpenAI's shape."""

from typing import Any

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_balance",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}
CODES = {
    400: "validation_error",
    401: "invalid_api_key",
    403: "key_not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
}
MESSAGES = {
    400: "The request cannot be understood.",
    403: "This is not allowed.",
    404: "There is nothing here.",
    405: "This path does not take this method.",
    413: "The body is too long.",
    500: "Something went wrong on our side.",
}
FINAL = frozenset({401, 402, 403, 404})
"""Asking again changes nothing; programs try for minutes unless `x-should-retry: false` tells them."""


def error_body(
    *, message: str, status: int, code: str, param: str | None = None, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """`{"error": {"message", "type", "code"}}`; where fields are at fault, `param` is the first, and `errors` are all,
    each with `param`, `code` and `message`.
    """
    error: dict[str, Any] = {"message": message, "type": TYPES.get(status, "api_error"), "code": code}
    if param is not None:
        error["param"] = param
        kind = "invalid" if code == "validation_error" else code
        error["errors"] = errors or [{"param": param, "code": kind, "message": message}]
    return {"error": error}


def compressed(encoding: str) -> str:
    """Why a body of this `Content-Encoding` is refused (415); "" where it is as it was written."""
    if encoding.strip().lower() in ("", "identity"):
        return ""
    return f"The body is compressed (Content-Encoding: {encoding[:40]}). Send it as it is."
