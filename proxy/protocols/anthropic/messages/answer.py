"""An answer of Messages: what it says of itself, and how it looks with what it cost."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.anthropic import errors
from proxy.protocols.anthropic.messages import usage as usages
from proxy.protocols.base import MOST_REASON_CHARACTERS, Charged, Reported, text_of
from proxy.protocols.counts import costs_out, stated_cost

FRAME = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")


def read_answer(answer: Mapping[str, Any], *, varies: bool = False) -> Reported:
    told = usages.read(answer.get("usage"), has_container=bool(answer.get("container")))
    return Reported(
        usage=None if told is None else told.usage,
        finish_reason=reason_of(answer),
        is_odd=told is not None and told.is_odd,
        model=text_of(answer, "model"),
        upstream_id=text_of(answer, "id"),
        service_tier=usages.tier_of(told),
        served=usages.served_of(told, varies=varies),
        told=told,
        stated_cost=stated_cost(told),
    )


def reason_of(holder: Mapping[str, Any]) -> str:
    return text_of(holder, "stop_reason")[:MOST_REASON_CHARACTERS]


def decorate(
    raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage, refusal: Refusal | None
) -> bytes:
    """The answer byte for byte, but for what it used and what it cost; words that came with an error keep it, in our
    words."""
    if refusal is not None:
        whole = lossless.load_exact(raw)
        raw = lossless.dump({name: whole[name] for name in FRAME if name in whole})
    ours = costs_out(answer) | charged.manner.named(answer)
    if not charged.is_plain:
        said = answer.get("usage")
        said = said if isinstance(said, dict) else {}
        ours["usage"] = usages.shown(reported.told, said, used, cost=charged.cost)
        ours["x_chuizi"] = charged.as_json
    if refusal is not None:
        ours["error"] = orjson.dumps({"type": errors.type_of(refusal), "message": refusal.message})
    return lossless.splice(raw, ours)
