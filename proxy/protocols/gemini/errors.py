"""How an error looks to callers of Gemini's protocol. https://ai.google.dev/gemini-api/docs/troubleshooting"""

import orjson

from proxy.errors import Refusal

STATUSES = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_of(refusal: Refusal) -> dict[str, object]:
    usual = "INTERNAL" if refusal.status >= 500 else "INVALID_ARGUMENT"
    status = STATUSES.get(refusal.status, usual)
    return {"code": refusal.status, "message": refusal.message, "status": status}


def error_body(refusal: Refusal) -> bytes:
    return orjson.dumps({"error": error_of(refusal)})
