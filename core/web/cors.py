"""Browsers may call the API from any page: it takes no cookies, and a page that has no key gets nothing.

https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from typing import Any

EXPOSED = (
    "X-Request-Id",
    "Request-Id",
    "X-Generation-Id",
    "X-Chuizi-Ignored",
    "X-Chuizi-Removed",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "Idempotency-Replayed",
    "X-Should-Retry",
    "Content-Disposition",
    "Deprecation",
    "Sunset",
)
"""Headers of ours that a program in a browser may read."""
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": ", ".join(EXPOSED)}
RAW_HEADERS = tuple((name.lower().encode(), value.encode()) for name, value in HEADERS.items())
KEPT_SECONDS = 7200
"""How long a browser may go by an answer to its preflight; none keeps one for longer."""
USUAL = (
    b"authorization, content-type, x-api-key, x-goog-api-key, idempotency-key, anthropic-version, anthropic-beta,"
    b" x-session-id, x-chuizi-body"
)


def preflight(scope: Any) -> list[tuple[bytes, bytes]]:
    """The headers of the answer to OPTIONS: every method, and what headers the browser asks for."""
    asked = [value for name, value in scope["headers"] if name == b"access-control-request-headers"]
    return [
        *RAW_HEADERS,
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", b", ".join(asked) or USUAL),
        (b"access-control-max-age", str(KEPT_SECONDS).encode()),
        (b"vary", b"access-control-request-headers"),
    ]
