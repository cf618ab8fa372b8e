"""How an error looks to callers of Anthropic's protocol. https://docs.claude.com/en/api/errors"""

import orjson

from proxy.errors import Refusal
from proxy.protocols.sse import END

TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def type_of(refusal: Refusal) -> str:
    return TYPES.get(refusal.status, "api_error" if refusal.status >= 500 else "invalid_request_error")


def error_body(refusal: Refusal, request_id: str) -> bytes:
    error = {"type": type_of(refusal), "message": refusal.message}
    return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def error_event(refusal: Refusal, request_id: str) -> bytes:
    return b"event: error\ndata: " + error_body(refusal, request_id) + END
