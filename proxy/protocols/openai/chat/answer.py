"""A chat completion's answer: what it says of itself, and how it and an error look under our name."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import MOST_REASON_CHARACTERS, Charged, Reported, text_of
from proxy.protocols.counts import costs_out, is_counted
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.chat.failure import without_failure
from proxy.protocols.openai.choices import choices_of


def read_answer(answer: Mapping[str, Any]) -> Reported:
    told = usages.find(answer)
    return Reported(
        usage=None if told is None else told.usage,
        finish_reason=finish_of(answer),
        is_odd=told is not None and told.is_odd,
        model=text_of(answer, "model"),
        upstream_id=text_of(answer, "id"),
        told=told,
        service_tier=tier_of(answer, told),
        stated_cost=usages.stated_cost(told),
    )


def tier_of(answer: Mapping[str, Any], told: usages.Told | None) -> str:
    """The service tier that was served: said of the answer, or among its usage."""
    return text_of(answer, "service_tier") or (text_of(told.said, "service_tier") if told is not None else "")


def is_answer(answer: Mapping[str, Any]) -> bool:
    """Whether it has what an answer has: choices, or usage that counts something."""
    return any(choices_of(answer)) or is_counted(usages.find(answer))


def finish_of(answer: Mapping[str, Any]) -> str:
    """The last finish reason of an answer's choices."""
    for choice in reversed(choices_of(answer)):
        if reason := text_of(choice, "finish_reason"):
            return reason[:MOST_REASON_CHARACTERS]
    return ""


def decorate(
    raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage, refusal: Refusal | None
) -> bytes:
    """The answer byte for byte, but for our id, what it used and what it cost; words that came with an error keep it,
    in our words."""
    if refusal is not None:
        raw = lossless.dump(without_failure(lossless.load_exact(raw)))
    ours = costs_out(answer) if b"ost" in raw else {}
    ours |= charged.manner.named(answer)
    if not charged.is_plain:
        ours["id"] = orjson.dumps(charged.generation_id)
        ours["usage"] = usages.shown(reported.told, used, cost=charged.cost)
        ours["x_chuizi"] = charged.as_json
    if refusal is not None:
        ours["error"] = orjson.dumps(error_of(refusal))
    return lossless.splice(raw, ours)


def error_of(refusal: Refusal) -> dict[str, Any]:
    body: dict[str, Any] = {"message": refusal.message, "type": refusal.type, "code": refusal.code}
    if refusal.param is not None:
        body["param"] = refusal.param
    return body


def error(refusal: Refusal) -> bytes:
    return orjson.dumps({"error": error_of(refusal)})
