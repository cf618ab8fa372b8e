"""The usual chat completion read in two passes; whatever is not plainly in order is read carefully.

Plainly in order is: known fields of their types, messages that are texts, tools that run with the caller, no name that
may stand twice. A test compares both readers.
"""

from typing import Literal

import msgspec

from proxy.prices.bounds import Material, wide_bytes
from proxy.prices.versions import terms_of
from proxy.protocols.base import MOST_OUTPUT_TOKENS
from proxy.protocols.members import Ambiguous, check_bytes, joined, members_of, objects_of, size
from proxy.protocols.openai.asking import LONGEST_MODEL
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.asked.careful import MOST_CHOICES, OPTIONS, TOOL, read_carefully
from proxy.protocols.openai.chat.asked.fields import LIMITS, OURS, READ
from proxy.protocols.steering import refuse_steering
from proxy.protocols.structure import LARGE, NotJson

ESCAPED = b"\\u00"
"""How a letter of a name may be written so that no search finds it."""


FEW_BYTES = 16_384
BETWEEN = len('{"role":"","content":},')


ABSENT = msgspec.Raw(b"")


class Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What is usual in a message. Of the rest nothing is read, but that it is there: others may read it as media."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    tool_call_id: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning_details: msgspec.Raw = ABSENT
    cache_control: msgspec.Raw = ABSENT


class Tool(msgspec.Struct, gc=False):
    type: Literal["function", "custom"]


class Options(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    include_usage: bool = False


class Asked(msgspec.Struct, gc=False):
    """The short fields that we read, of the types in which they are usual."""

    model: str
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    service_tier: Literal["auto", "default", "flex"] | None = None
    stream_options: Options | None = None


SHORT = frozenset(Asked.__struct_fields__)
USUAL = SHORT | {"messages", "tools"}
_asked = msgspec.json.Decoder(Asked)
_messages = msgspec.json.Decoder(list[Message])
_tools = msgspec.json.Decoder(list[Tool])


def read(raw: bytes) -> ChatCall:
    """Raise `BadRequest` unless the body is a chat completion that can be held, forwarded and priced."""
    try:
        call = _plain(raw)
    except (NotJson, Ambiguous, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        call = None  # the careful reader says what is wrong, if anything is
    return call or read_carefully(raw)


def _plain(raw: bytes) -> ChatCall | None:
    """The request, if it is plainly in order."""
    check_bytes(raw)
    members = members_of(raw, READ)
    refuse_steering(members, READ)
    if not READ.isdisjoint(members.keys() - USUAL):
        return None
    # None of these names stands twice by now. To skip a short body's messages costs less than to leave them out.
    is_short = len(raw) <= FEW_BYTES
    asked = _asked.decode(raw if is_short else b"{%b}" % joined(members, without=members.keys() - SHORT))
    most, limit_fields = _limits(asked)
    if not (
        0 < len(asked.model) <= LONGEST_MODEL
        and 1 <= asked.n <= MOST_CHOICES
        and (most is None or 1 <= most <= MOST_OUTPUT_TOKENS)
        and _are_texts(members.get("messages"))
    ):
        return None
    tools = members.get("tools")
    if tools is not None:
        _tools.decode(tools)
        for tool in objects_of(tools):
            members_of(tool, TOOL)
    if asked.stream_options is not None:
        members_of(members["stream_options"], OPTIONS)
    return ChatCall(
        model=asked.model,
        stream=asked.stream,
        output_limit=most,
        choices=asked.n,
        material=Material(text_bytes=len(raw), wide=wide_bytes(raw), tools=tools is not None and size(tools) > 2),
        rest=joined(members, without=OURS),
        limit_fields=limit_fields,
        service_tier=asked.service_tier,
        asked=None if asked.service_tier is None else terms_of(asked.service_tier) or None,
        include_usage=asked.stream_options is not None and asked.stream_options.include_usage,
    )


def _limits(asked: Asked) -> tuple[int | None, tuple[str, ...]]:
    """The larger limit, or the one that is out of bounds, and the names of those that are set."""
    newer, older = asked.max_completion_tokens, asked.max_tokens
    if newer is None:
        return older, () if older is None else LIMITS[1:]
    if older is None:
        return newer, LIMITS[:1]
    return (max(newer, older) if min(newer, older) >= 1 else 0), LIMITS


def _are_texts(told: msgspec.Raw | None) -> bool:
    """Whether each message says a text or nothing, and none names its role or its content twice."""
    messages = _messages.decode(told) if told is not None else []
    if told is None or not messages:
        return False
    named, least = 0, 1
    for message in messages:
        content = memoryview(message.content)
        if content.nbytes:
            named += 1
            if bytes(content[:1]) != b'"' and bytes(content[:5]) != b"null":
                return False
        least += len(message.role) + content.nbytes + BETWEEN
    if least == size(told) and named == len(messages):
        return True  # written without a blank, and nothing else is in it
    if size(told) > LARGE:
        return False  # to search it takes a copy
    # A quote inside of a text is escaped, so what is found are strings of their own: names, or values spelt like them.
    raw = memoryview(told).tobytes()
    return ESCAPED not in raw and raw.count(b'"role"') == len(messages) and raw.count(b'"content"') == named
