"""A chat completion as it goes upstream: the caller's own bytes, and the few members that are ours before them."""

import re

import orjson

from proxy.errors import Refusal
from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.protocols.base import Call, Habits
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.asked.fields import LIMITS
from proxy.protocols.openai.chat.neutral.foreign import without_thoughts
from proxy.relay.habits import UNKNOWN

# Reasoning models refuse `max_tokens`; everything else knows it, and old upstreams know nothing newer.
NEEDS_COMPLETION_LIMIT = re.compile(r"^(o\d|gpt-5)")
TOO_LONG = "context_length_exceeded"
OPTIONAL = ("stream_options", "service_tier")
"""Fields of ours that an upstream may do without."""
INSIDE = {"stream_options": "stream_options.include_usage"}
ESCAPED_LETTER = re.compile(rb"\\u00[4-7]", re.IGNORECASE)
"""How a caller may spell a field's name so that no search finds it; who is honest writes letters as they are."""
ABOUT_ITS_VALUE = re.compile(
    r"too (?:large|big|high|many|long|small|low)|at (?:most|least)|(?:less|greater|more|higher) than|maximum|exceed"
    r"|must be|between|range|<=|≤",
    re.IGNORECASE,
)
"""A limit that is refused for its number is known to the upstream: under another name it might count for nothing."""


def added(call: ChatCall, destination: Destination, habits: Habits = UNKNOWN) -> dict[str, bytes]:
    """The members that are ours, raw, in their order; the limit is added by `upstream_body`."""
    ours = {"model": orjson.dumps(destination.upstream_model)}
    if call.stream and destination.ask_usage and "stream_options" not in habits.refused:
        more = b"," + call.stream_options if call.stream_options else b""
        ours["stream_options"] = b'{"include_usage":true%b}' % more
    elif call.stream_options:
        ours["stream_options"] = b"{%b}" % call.stream_options
    if tier := tier_for(call, destination, habits):
        ours["service_tier"] = orjson.dumps(tier)
    return ours


def upstream_body(
    call: ChatCall, destination: Destination, *, output_limit: int | None, habits: Habits = UNKNOWN
) -> tuple[bytes, ...]:
    """In pieces: the upstream's name for the model, usage asked for, the limit that was held; the body as it came."""
    ours = added(call, destination, habits)
    if output_limit is not None:
        for field in limit_fields(call, destination, habits):
            ours[field] = b"%d" % output_limit
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in ours.items())
    rest = call.rest
    if call.translation is not None and destination.kind in (Kind.OPENAI, Kind.AZURE):
        rest = without_thoughts(rest)
    return (b"{" + members + b",", rest, b"}") if rest else (b"{" + members + b"}",)


def limit_fields(call: ChatCall, destination: Destination, habits: Habits = UNKNOWN) -> tuple[str, ...]:
    """Under which names the limit goes: what the route takes, else as the caller named it, else by the model."""
    if chosen := habits.limit_field or destination.limit_field:
        return (chosen,)
    if call.limit_fields:
        return call.limit_fields
    return (LIMITS[0] if NEEDS_COMPLETION_LIMIT.match(destination.upstream_model) else LIMITS[1],)


def after_refusal(call: ChatCall, destination: Destination, habits: Habits, refusal: Refusal) -> Habits | None:
    """What to try without, where a refusal is about exactly one field that we added; None where it is not.

    It is, where its `param` is that field, or where its words name it and nothing that the caller sent does: upstreams
    repeat what they were sent. The limit is never left out: it goes under its other name.
    """
    sent = {*call.limit_fields}
    if call.service_tier is not None:
        sent.add("service_tier")
    if call.include_usage or call.stream_options:
        sent.add("stream_options")
    added_to_it = added(call, destination, habits)
    ours = {name for name in OPTIONAL if name in added_to_it} | {*limit_fields(call, destination, habits)}
    named = [name for name in sorted(ours - sent) if _is_about(name, refusal, call)]
    if len(named) != 1:
        return None
    [field] = named
    if field not in LIMITS:
        return habits.without(field)
    if habits.limit_field or refusal.code == TOO_LONG or ABOUT_ITS_VALUE.search(refusal.message):
        return None
    return Habits(next(name for name in LIMITS if name != field), habits.refused)


def _is_about(field: str, refusal: Refusal, call: ChatCall) -> bool:
    if refusal.param in (field, INSIDE.get(field, field)):
        return True
    if not re.search(rf"\b{field}\b", refusal.message):
        return False
    theirs = b"%b,%b" % (call.rest, call.stream_options)
    return field.encode() not in theirs.lower() and not ESCAPED_LETTER.search(theirs)


def tier_for(call: Call, destination: Destination, habits: Habits) -> str | None:
    """What was asked; at OpenAI itself never `auto`, which is what the operator's account is set to, perhaps dearer.

    Elsewhere `auto` is what they do unasked, and a value that many do not know.
    """
    if "service_tier" in habits.refused:
        return call.service_tier if call.service_tier not in (None, "auto", "default") else None
    if destination.kind == Kind.OPENAI:
        return "default" if call.service_tier in (None, "auto") else call.service_tier
    return None if call.service_tier == "auto" else call.service_tier
