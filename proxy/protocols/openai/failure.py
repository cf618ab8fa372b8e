"""Whether what came with status 200 is an error, in each of the shapes that upstreams have for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.upstream_errors import read

UNNAMED: Mapping[str, Any] = {}
"""An error that says nothing of itself."""


def failure_in(answer: Mapping[str, Any]) -> Any:
    """The error in an answer or in a stream's event, words beside it or not; None where there is none.

    An object with neither choices nor usage that says something of itself is one; heartbeats are not.
    """
    if error := answer.get("error"):
        return error
    for choice in choices_of(answer):
        for place in (choice, choice.get("delta"), choice.get("message")):
            if isinstance(place, dict) and (error := place.get("error")):
                return error
        if choice.get("finish_reason") == "error":
            return UNNAMED
    status = answer.get("base_resp")  # MiniMax
    if isinstance(status, dict) and status.get("status_code") not in (None, 0, "0"):
        return status
    if not answer.get("choices") and not answer.get("usage"):
        return _flat(answer)
    return None


def failure_of(answer: Any) -> Any:
    """The error in what is known to be one: an event that is named so, or an answer without choices and usage."""
    if isinstance(answer, dict):
        return failure_in(answer) or _flat(answer) or UNNAMED
    return answer or UNNAMED


def without_failure(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer without its errors, for the words that came with them."""
    choices = []
    for choice in choices_of(answer):
        kept = {name: _clean(value) for name, value in choice.items() if name != "error"}
        if kept.get("finish_reason") == "error":
            kept["finish_reason"] = None
        choices.append(kept)
    left_out = ("error", "base_resp")
    return {**{name: value for name, value in answer.items() if name not in left_out}, "choices": choices}


def choices_of(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    choices = answer.get("choices")
    return (choice for choice in (choices if isinstance(choices, list) else ()) if isinstance(choice, dict))


def _clean(value: Any) -> Any:
    return {name: held for name, held in value.items() if name != "error"} if isinstance(value, dict) else value


def _flat(answer: Mapping[str, Any]) -> Any:
    """`{"code", "message"}` and kin: the answer itself where it says what is wrong."""
    is_error = answer.get("object") == "error" or answer.get("type") == "error"
    return answer if is_error or read(answer).sentence else None
