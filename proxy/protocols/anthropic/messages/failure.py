"""Whether what came with status 200 is an error."""

from typing import Any

from proxy.protocols.anthropic.messages import usage as usages
from proxy.protocols.counts import is_counted

UNNAMED: dict[str, Any] = {}
"""An error that says nothing of itself, or nothing that a caller may read."""
OPERATORS = frozenset({"authentication_error", "permission_error", "billing_error", "not_found_error"})
"""About the route or its key: its words name accounts."""


def failure_in(answer: Any) -> Any:
    """The error in an answer or in a stream's event; None where it is none."""
    if not isinstance(answer, dict):
        return answer or UNNAMED
    error = answer.get("error")
    if answer.get("type") == "error" or error:
        return _told(error or {name: value for name, value in answer.items() if name != "type"})
    return None if is_answer(answer) else (answer or UNNAMED)


def is_answer(answer: Any) -> bool:
    """Whether it has what an answer has: content, or usage that counts something."""
    return isinstance(answer, dict) and (
        isinstance(answer.get("content"), list) or is_counted(usages.read(answer.get("usage")))
    )


def _told(error: Any) -> Any:
    if isinstance(error, dict) and error.get("type") in OPERATORS:
        return UNNAMED
    return error or UNNAMED
