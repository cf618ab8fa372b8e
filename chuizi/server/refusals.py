"""Answers that no application gives: the request cannot be read, or the application failed."""

from http import HTTPStatus

import orjson

from core.web.middleware import new_request_id

CODES = {431: "request_too_large", 500: "internal_error"}


def answer(status: int, message: str) -> bytes:
    """A whole answer in the API's shape, the last one of its connection."""
    kind = "api_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "code": CODES.get(status, "validation_error")}
    body = orjson.dumps({"error": error})
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-request-id: {new_request_id()}",
        "connection: close",
    ]
    if status == HTTPStatus.UPGRADE_REQUIRED:
        lines.append("upgrade: HTTP/1.1")
    return "\r\n".join([*lines, "", ""]).encode() + body
