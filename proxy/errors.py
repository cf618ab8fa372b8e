"""What the gateway refuses, and how it says so: the contract's codes, in each protocol's shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_balance",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(eq=False)
class Refusal(Exception):
    """An answer that is an error: HTTP status, the contract's code, a sentence, the field at fault, more headers."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return TYPES.get(self.status, "api_error")


def invalid_key() -> Refusal:
    return Refusal(401, "invalid_api_key", "The API key is missing, unknown, expired or disabled.")


def unavailable(message: str, *, retry_after: int = 1) -> Refusal:
    return Refusal(503, "provider_unavailable", message, headers={"Retry-After": str(retry_after)})
