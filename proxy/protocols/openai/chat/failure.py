"""Whether what came with status 200 is an error, in each of the shapes that upstreams have for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.protocols.openai.choices import choices_of
from proxy.relay.errors import SENTENCES, read

NO_ERROR: tuple[Any, ...] = (None, False, 0, "0", "", [], {})
UNNAMED: Mapping[str, Any] = {}
"""An error that says nothing of itself."""
FAILED = ("error", "ERROR", "failed", "network_error")
"""Reasons for which an answer ends that are errors; the last is Zhipu's."""
FRAME = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "usage")
CHOICE = ("index", "delta", "message", "text", "finish_reason", "logprobs")


def failure_in(answer: Mapping[str, Any]) -> Any:
    """The error in an answer or in a stream's event, words beside it or not; None where there is none.

    An object without choices and usage that says something of itself is one, whatever it counts; heartbeats are not.
    """
    choices = choices_of(answer)
    for place in _places(answer, choices):
        if isinstance(place, dict) and (error := place.get("error")):
            if isinstance(error, dict | list):
                return error
            return {name: place.get(name) for name in ("error", *SENTENCES)}  # the sentence may stand beside a word
    for choice in choices:
        if choice.get("finish_reason") in FAILED:
            return UNNAMED
    status = answer.get("base_resp")  # MiniMax
    if isinstance(status, dict) and status.get("status_code") not in (None, 0, "0"):
        return status
    return None if answer.get("choices") else _failure_without_choices(answer)


def _failure_without_choices(answer: Mapping[str, Any]) -> Any:
    if any(name.casefold().startswith("error") and value not in NO_ERROR for name, value in answer.items()):
        return answer
    usage = answer.get("usage")
    is_counted = any(usage.values()) if isinstance(usage, dict) else usage
    return None if is_counted else _flat(answer)


def failure_among(items: Sequence[Any]) -> Any:
    """The first error of a list, which is how Google's stand in a stream."""
    errors = (failure_in(item) for item in items if isinstance(item, dict))
    return next((error for error in errors if error is not None), None)


def failure_of(answer: Any) -> Any:
    """The error in what is known to be one: an event that is named so, or an answer without choices and usage."""
    if isinstance(answer, dict):
        return failure_in(answer) or _flat(answer) or UNNAMED
    return answer or UNNAMED


def without_failure(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Of an answer that is an error too, the words that came with it: what else it says may say what went wrong."""
    choices = []
    for choice in choices_of(answer):
        kept = {name: _clean(choice[name]) for name in CHOICE if name in choice}
        if kept.get("finish_reason") in FAILED:
            kept["finish_reason"] = None
        choices.append(kept)
    return {**{name: answer[name] for name in FRAME if name in answer}, "choices": choices}


def _places(answer: Mapping[str, Any], choices: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Where an error may stand: in the answer, its choices and what they say, and in Groq's own member."""
    places: list[Any] = [answer]
    for choice in choices:
        places += (choice, choice.get("delta"), choice.get("message"))
    places.append(answer.get("x_groq"))
    return places


def _clean(value: Any) -> Any:
    return {name: held for name, held in value.items() if name != "error"} if isinstance(value, dict) else value


def _flat(answer: Mapping[str, Any]) -> Any:
    """`{"code", "message"}` and kin: the answer itself where it says what is wrong."""
    is_error = answer.get("object") == "error" or answer.get("type") == "error"
    if answer.get("code") in (0, "0"):  # Spark says "Success"
        return None
    return answer if is_error or read(answer).sentence else None
