"""What the gateway refuses, and how it says so: the contract's codes, in each protocol's shape."""

import re
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
SECRETS = re.compile(
    r"\b(?:sk|pk|rk|ck|key|org|proj|acct|req|user|team)[-_][A-Za-z0-9_\-]{6,}"  # keys and account ids
    r"|\bAIza[A-Za-z0-9_\-]{10,}|\bBearer\s+\S+"
    r"|https?://\S+|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"  # addresses
    r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|io|ai|dev|cn|local|internal|cloud)\b(?::\d+)?",  # hosts
    re.IGNORECASE,
)
MOST_UPSTREAM_TEXT = 500


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


def cleaned(text: str) -> str:
    """An upstream's words without keys, hosts and account ids, at most 500 characters."""
    return SECRETS.sub("[removed]", text)[:MOST_UPSTREAM_TEXT]
