"""What the gateway refuses, and how it says so: the API's codes, in each protocol's shape."""

from collections.abc import Mapping
from dataclasses import dataclass, field

RETRY_AFTER_SECONDS = 5
"""Of a 503 that knows nothing better: each says when to come back."""
TYPES = {
    401: "authentication_error",
    402: "insufficient_balance",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


@dataclass(eq=False)
class Refusal(Exception):
    """An answer that is an error: HTTP status, the API's code, a sentence, the field at fault, more headers."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == 503 and "Retry-After" not in self.headers:
            self.headers = {**self.headers, "Retry-After": str(RETRY_AFTER_SECONDS)}

    @property
    def is_final(self) -> bool:
        """Whether the request is at fault: any upstream would say the same."""
        return self.status < 500

    @property
    def is_failure(self) -> bool:
        """Whether an upstream that says it has failed."""
        return not self.is_final

    @property
    def type(self) -> str:
        return TYPES.get(self.status, "api_error" if self.status >= 500 else "invalid_request_error")


def invalid_key() -> Refusal:
    return Refusal(401, "invalid_api_key", "The API key is missing, unknown, expired or disabled.")


def key_ended(*, purse: str) -> Refusal:
    """For a key that does not work any more; `purse` names the budget that it spends from, if it has one."""
    if not purse:
        return invalid_key()
    return Refusal(402, "budget_exhausted", "This key's budget has ended, and the key with it. Make another.")


def account_suspended() -> Refusal:
    return Refusal(403, "account_suspended", "This account is suspended. Write to support.")


def spent(*, is_budget: bool) -> Refusal:
    """For a stream that has begun."""
    if is_budget:
        return Refusal(402, "budget_exhausted", "The budget is used up, so the answer ends here.")
    return Refusal(402, "insufficient_balance", "The balance is used up, so the answer ends here. Top up to go on.")


def unavailable(message: str, *, retry_after: int = 1) -> Refusal:
    return Refusal(503, "provider_unavailable", message, headers={"Retry-After": str(retry_after)})


def provider_late() -> Refusal:
    return Refusal(504, "provider_timeout", "The model's provider did not answer in time.")


def provider_broke_off() -> Refusal:
    return Refusal(502, "provider_error", "The model's provider broke its answer off.")


def provider_not_json() -> Refusal:
    return Refusal(502, "provider_error", "The model's provider sent an answer that is not JSON.")


def provider_not_this() -> Refusal:
    return Refusal(502, "provider_error", "The model's provider sent something else than an answer.")


def unwritten(generation_id: str) -> Refusal:
    words = "The answer is there but its usage could not be written, so nothing is charged."
    return unavailable(f"{words} See {generation_id}.", retry_after=RETRY_AFTER_SECONDS)
