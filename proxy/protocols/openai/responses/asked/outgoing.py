"""A request to Responses as it goes upstream: the caller's own bytes, and the few members that are ours before them."""

import re

import orjson

from proxy.errors import Refusal
from proxy.prices.catalog import Destination
from proxy.protocols.base import Habits
from proxy.protocols.endpoint import Sending
from proxy.protocols.openai.chat.asked.outgoing import tier_for
from proxy.protocols.openai.responses.asked.call import ResponsesCall
from proxy.protocols.openai.responses.asked.fields import LIMIT
from proxy.protocols.openai.responses.asked.ours import without_ours

TIER = "service_tier"


def sending(
    call: ResponsesCall, destination: Destination, *, path: str, output_limit: int | None, habits: Habits
) -> Sending:
    """`output_limit` is None where the path has no limit, or nothing is held."""
    ours = {"model": orjson.dumps(destination.upstream_model)}
    if output_limit is not None:
        ours[LIMIT] = b"%d" % output_limit
    if tier := tier_for(call, destination, habits):
        ours[TIER] = orjson.dumps(tier)
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in ours.items())
    rest = without_ours(call.rest)
    body = (b"{" + members + b",", rest, b"}") if rest else (b"{" + members + b"}",)
    return Sending(path, {**call.headers, "Authorization": f"Bearer {destination.api_key}"}, body)


def after_refusal(call: ResponsesCall, destination: Destination, habits: Habits, refusal: Refusal) -> Habits | None:
    """Without the tier that we added, where a refusal is about it and the caller named none."""
    added = call.service_tier is None and tier_for(call, destination, habits)
    is_about = refusal.param == TIER or re.search(rf"\b{TIER}\b", refusal.message)
    if not added or not is_about or TIER.encode() in call.rest:
        return None
    return habits.without(TIER)
