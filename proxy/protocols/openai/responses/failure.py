"""Whether what came with status 200 is an error."""

from collections.abc import Mapping
from typing import Any

from proxy.protocols.counts import is_counted
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.chat.failure import failure_of

FAILED = "failed"
UNNAMED: dict[str, Any] = {}
"""An error that says nothing of itself."""


def failure_in(answer: Any) -> Any:
    """The error in an answer; None where it is none."""
    if not isinstance(answer, dict):
        return answer or UNNAMED
    if answer.get("error") or answer.get("status") == FAILED:
        return answer.get("error") or UNNAMED
    return None if is_answer(answer) else failure_of(answer)


def is_answer(answer: Mapping[str, Any]) -> bool:
    """Whether it has what an answer has: items, or usage that counts something."""
    return isinstance(answer.get("output"), list) or is_counted(usages.read(answer.get("usage")))
