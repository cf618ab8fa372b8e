"""A request to Messages as it goes upstream: the caller's own bytes, and the few members that are ours before them."""

import re

import orjson

from proxy.errors import Refusal
from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.asked.ours import without_ours
from proxy.protocols.base import Habits
from proxy.protocols.endpoint import Sending

TIER = "service_tier"
STANDARD = "standard_only"


def sending(
    call: MessagesCall, destination: Destination, *, path: str, output_limit: int | None, habits: Habits
) -> Sending:
    """`output_limit` is None where nothing is held: then tokens are only counted."""
    ours = {"model": orjson.dumps(destination.upstream_model)}
    if output_limit is not None:
        ours["max_tokens"] = b"%d" % output_limit
        if tier := _tier(call, destination, habits):
            ours[TIER] = orjson.dumps(tier)
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in ours.items())
    rest = without_ours(call.rest)
    body = (b"{" + members + b",", rest, b"}") if rest else (b"{" + members + b"}",)
    return Sending(path + call.query, {**call.headers, "x-api-key": destination.api_key}, body)


def after_refusal(call: MessagesCall, destination: Destination, habits: Habits, refusal: Refusal) -> Habits | None:
    """Without the tier that we added, where a refusal is about it and the caller named none."""
    added = call.service_tier is None and _tier(call, destination, habits)
    is_about = refusal.param == TIER or re.search(rf"\b{TIER}\b", refusal.message)
    if not added or not is_about or TIER.encode() in call.rest:
        return None
    return habits.without(TIER)


def _tier(call: MessagesCall, destination: Destination, habits: Habits) -> str | None:
    """What was asked; at Anthropic itself never `auto`, which is what the operator's account has bought ahead.

    Elsewhere `auto` is what they do unasked.
    """
    asked = None if call.service_tier == "auto" else call.service_tier
    if TIER in habits.refused:
        return asked
    return asked or (STANDARD if destination.kind == Kind.ANTHROPIC else None)
