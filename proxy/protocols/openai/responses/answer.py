"""An answer of Responses: what it says of itself, and how it looks with what it cost."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from proxy.errors import Refusal
from proxy.prices.usage import Usage
from proxy.protocols import lossless
from proxy.protocols.base import LONGEST_ID, MOST_REASON_CHARACTERS, Charged, Reported, text_of
from proxy.protocols.counts import costs_out
from proxy.protocols.openai import usage as usages
from proxy.protocols.openai.chat.answer import tier_of
from proxy.protocols.openai.responses import usage
from proxy.protocols.openai.responses.failure import FAILED

FRAME = (
    *("id", "object", "created_at", "completed_at", "status", "model", "output", "usage", "instructions", "tools"),
    *("tool_choice", "parallel_tool_calls", "max_output_tokens", "previous_response_id", "reasoning", "service_tier"),
    *("store", "temperature", "top_p", "text", "truncation", "metadata"),
)
"""What is kept of an answer that is an error too: what else it says may say what went wrong."""
CODE = re.compile(r"[a-z_]{1,60}")
OWN_CODE = "server_error"


def read_answer(answer: Mapping[str, Any], *, kept: tuple[str, ...] = (), is_pending: bool = False) -> Reported:
    """`kept` are the ids under which its upstream has it; `is_pending`: it goes on working on it."""
    told = usage.read(answer)
    return Reported(
        usage=None if told is None else told.usage,
        finish_reason=reason_of(answer),
        is_odd=told is not None and told.is_odd,
        model=text_of(answer, "model"),
        upstream_id=text_of(answer, "id", most=LONGEST_ID),
        service_tier=tier_of(answer, told),
        told=told,
        stated_cost=usages.stated_cost(told),
        kept=kept,
        is_pending=is_pending,
    )


def reason_of(answer: Mapping[str, Any]) -> str:
    """Why it is incomplete, else its status."""
    details = answer.get("incomplete_details")
    reason = text_of(details, "reason") if isinstance(details, dict) else ""
    return (reason or text_of(answer, "status"))[:MOST_REASON_CHARACTERS]


def decorate(
    raw: bytes, answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage, refusal: Refusal | None
) -> bytes:
    """The answer byte for byte, but for what it used and what it cost; words that came with an error keep it, in our
    words."""
    ours = changes_of(answer, reported, charged, used)
    if refusal is not None:
        whole = lossless.load_exact(raw)
        raw = lossless.dump({name: whole[name] for name in FRAME if name in whole})
        ours["status"] = orjson.dumps(FAILED)
        ours["error"] = orjson.dumps({"code": code_of(answer, refusal), "message": refusal.message})
    return lossless.splice(raw, ours)


def changes_of(answer: Mapping[str, Any], reported: Reported, charged: Charged, used: Usage) -> dict[str, bytes | None]:
    """By member, what a caller sees in its place: what it used and what it cost, unless that is to be plain."""
    ours = costs_out(answer) | charged.manner.named(answer)
    if not charged.is_plain:
        ours["usage"] = usage.shown(reported.told, used, cost=charged.cost)
        ours["x_chuizi"] = charged.as_json
    return ours


def code_of(answer: Mapping[str, Any], refusal: Refusal) -> str:
    """The code that clients know an error by: the upstream's own where it is one word."""
    error = answer.get("error")
    code = text_of(error, "code") if isinstance(error, dict) else ""
    return code if CODE.fullmatch(code) else refusal.code if refusal.status < 500 else OWN_CODE
