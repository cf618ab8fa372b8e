"""An answer of generate: what it says of itself, and how it looks with what it cost."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import MOST_REASON_CHARACTERS, Charged, Reported, printable, text_of
from proxy.protocols.counts import Told, costs_out, stated_cost
from proxy.protocols.gemini import errors
from proxy.protocols.gemini.generate import usage as usages
from proxy.protocols.gemini.generate.failure import block_reason

MODEL = "modelVersion"
FRAME = ("candidates", "promptFeedback", "usageMetadata", MODEL, "responseId", "createTime")


def read_answer(answer: Mapping[str, Any]) -> Reported:
    told = usages.read(answer.get(usages.NAME), searches=usages.searches_of(answer), has_run=usages.has_run(answer))
    return reported(told, answer, reason=reason_of(answer))


def reported(told: Told | None, answer: Mapping[str, Any], *, reason: str) -> Reported:
    """`answer` names model and id."""
    return Reported(
        usage=None if told is None else told.usage,
        finish_reason=reason,
        is_odd=told is not None and told.is_odd,
        model=text_of(answer, MODEL),
        upstream_id=text_of(answer, "responseId"),
        service_tier=usages.tier_of(told),
        told=told,
        stated_cost=stated_cost(told),
    )


def reason_of(answer: Mapping[str, Any]) -> str:
    """Why it ended: the first candidate's reason that is told, else why the prompt was blocked."""
    for candidate in candidates_of(answer):
        if reason := text_of(candidate, "finishReason"):
            return reason[:MOST_REASON_CHARACTERS]
    return printable(block_reason(dict(answer)))[:MOST_REASON_CHARACTERS]


def candidates_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    said = answer.get("candidates")
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def decorate(
    raw: bytes, answer: Mapping[str, Any], said: Reported, charged: Charged, used: Usage, refusal: Refusal | None
) -> bytes:
    """The answer byte for byte, but for what it used and what it cost; words that came with an error keep it, in our
    words."""
    if refusal is not None:
        whole = lossless.load_exact(raw)
        raw = lossless.dump({name: whole[name] for name in FRAME if name in whole})
    ours = costs_out(answer, usage=usages.NAME) | charged.manner.named(answer, MODEL)
    ours |= last_words(said.told, charged, used)
    if refusal is not None:
        ours["error"] = orjson.dumps(errors.error_of(refusal))
    return lossless.splice(raw, ours)


def last_words(told: Told | None, charged: Charged, used: Usage) -> dict[str, bytes | None]:
    """The members that tell what an answer used and cost; none where it is to be plain."""
    if charged.is_plain:
        return {}
    return {usages.NAME: usages.shown(told, used, cost=charged.cost), "x_chuizi": charged.as_json}
