"""A chat completion as it goes upstream: the caller's own bytes, and the few members that are ours before them."""

import re

import orjson

from proxy.catalog import Destination
from proxy.models import Kind
from proxy.protocols.base import Call, Habits
from proxy.protocols.openai.fields import LIMITS

# Reasoning models refuse `max_tokens`; everything else knows it, and old upstreams know nothing newer.
NEEDS_COMPLETION_LIMIT = re.compile(r"^(o\d|gpt-5)")
OPTIONAL = ("stream_options", "service_tier")
"""Fields of ours that an upstream may do without."""


UNKNOWN = Habits()


def added(call: Call, destination: Destination, habits: Habits = UNKNOWN) -> dict[str, bytes]:
    """The members that are ours, raw, in their order; the limit is added by `upstream_body`."""
    ours = {"model": orjson.dumps(destination.upstream_model)}
    if call.stream and destination.ask_usage and "stream_options" not in habits.refused:
        more = b"," + call.stream_options if call.stream_options else b""
        ours["stream_options"] = b'{"include_usage":true%b}' % more
    elif call.stream_options:
        ours["stream_options"] = b"{%b}" % call.stream_options
    if tier := _tier(call, destination, habits):
        ours["service_tier"] = orjson.dumps(tier)
    return ours


def upstream_body(
    call: Call, destination: Destination, *, output_limit: int | None, habits: Habits = UNKNOWN
) -> tuple[bytes, ...]:
    """In pieces: the upstream's name for the model, usage asked for, the limit that was held; the body as it came."""
    ours = added(call, destination, habits)
    if output_limit is not None:
        for field in limit_fields(call, destination, habits):
            ours[field] = b"%d" % output_limit
    members = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in ours.items())
    return (b"{" + members + b",", call.rest, b"}") if call.rest else (b"{" + members + b"}",)


def limit_fields(call: Call, destination: Destination, habits: Habits = UNKNOWN) -> tuple[str, ...]:
    """Under which names the limit goes: what the route takes, else as the caller named it, else by the model."""
    if chosen := habits.limit_field or destination.limit_field:
        return (chosen,)
    if call.limit_fields:
        return call.limit_fields
    return (LIMITS[0] if NEEDS_COMPLETION_LIMIT.match(destination.upstream_model) else LIMITS[1],)


def after_refusal(call: Call, destination: Destination, habits: Habits, *, words: str, param: str) -> Habits | None:
    """What to leave out where a refusal is about exactly one field that we added; None where it is not.

    The limit is never left out: it goes under its other name.
    """
    limits = limit_fields(call, destination, habits)
    ours = [name for name in OPTIONAL if name in added(call, destination, habits)]
    ours += [name for name in limits if name not in call.limit_fields]
    named = [name for name in ours if param.partition(".")[0] == name or re.search(rf"\b{name}\b", words)]
    if len(named) != 1:
        return None
    [field] = named
    if field == "stream_options" and call.stream_options:
        return None
    if field in LIMITS:
        other = next(name for name in LIMITS if name != field)
        return None if habits.limit_field else Habits(other, habits.refused)
    return Habits(habits.limit_field, habits.refused | {field})


def _tier(call: Call, destination: Destination, habits: Habits) -> str | None:
    """What was asked; at OpenAI itself never `auto`, which is what the operator's account is set to, perhaps dearer."""
    if "service_tier" in habits.refused:
        return call.service_tier if call.service_tier not in (None, "auto", "default") else None
    if destination.kind == Kind.OPENAI:
        return "default" if call.service_tier in (None, "auto") else call.service_tier
    return call.service_tier
