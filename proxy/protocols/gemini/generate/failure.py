"""Whether what came with status 200 is an error."""

from typing import Any

from proxy.protocols.counts import is_counted
from proxy.protocols.gemini.generate import usage as usages

UNNAMED: dict[str, Any] = {}
"""An error that says nothing of itself, or nothing that a caller may read."""
OPERATORS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"})
"""About the route or its key: its words name accounts."""


def failure_in(answer: Any) -> Any:
    """The error in an answer or in a stream's event; None where it is none."""
    if isinstance(answer, list) and answer and isinstance(answer[0], dict) and answer[0].get("error"):
        answer = answer[0]
    if not isinstance(answer, dict):
        return answer or UNNAMED
    if error := answer.get("error"):
        return UNNAMED if isinstance(error, dict) and error.get("status") in OPERATORS else error
    return None if is_answer(answer) else (answer or UNNAMED)


def is_answer(answer: Any) -> bool:
    """Whether it has what an answer has: candidates, why the prompt was blocked, or usage that counts something."""
    return isinstance(answer, dict) and (
        bool(answer.get("candidates")) or block_reason(answer) != "" or is_counted(usages.read(answer.get(usages.NAME)))
    )


def block_reason(answer: dict[str, Any]) -> str:
    """Why the prompt was not answered, "" where it was."""
    feedback = answer.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    return reason if isinstance(reason, str) else ""
