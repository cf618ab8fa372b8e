"""A request in no protocol's own words: what one protocol's reader makes of it, and another's writer sends on.

JSON that nobody here looks into (a schema, the arguments of a call) is kept as it was written: a model's prompt cache
goes by bytes, and numbers stay exact. `place` is where something stood in the caller's request, for errors; `cache` is
for how long what stands up to there is to be kept in a cache: "" where it is not marked, "5m", "1h".
"""

from dataclasses import field
from typing import Literal

from core.records import value
from proxy.protocols.base import BadRequest

HIGH = frozenset({"high", "xhigh", "max"})
LOW_BUDGET, MEDIUM_BUDGET = 4_096, 16_384
"""Tokens up to which a budget for thinking stands for little, and for some."""
Role = Literal["system", "developer", "user", "assistant"]


@value
class Text:
    text: str
    cache: str = ""


@value
class Image:
    """By its `data` (base64) and `media_type`, or by its `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    """How closely it is to be looked at: "" where that is left to the model, "low", "high"."""
    cache: str = ""
    place: str = ""


@value
class File:
    """A document, as an `Image` is a picture; `name` may be empty."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    name: str = ""
    cache: str = ""
    place: str = ""


@value
class Thought:
    """What a model thought. `seal` is what its maker takes as proof of it, or all of it where `is_hidden`.

    `maker` is the protocol whose upstreams gave the seal out, "" where there is none.
    """

    text: str = ""
    seal: str = ""
    maker: str = ""
    is_hidden: bool = False
    id: str = ""
    """Under which its maker keeps it, if it does."""


@value
class Refused:
    """What a model said instead of an answer."""

    text: str


@value
class ToolCall:
    """`arguments` are JSON as the model wrote it, "" where it wrote none; free text where `takes_text`."""

    id: str
    name: str
    arguments: str
    takes_text: bool = False
    cache: str = ""
    place: str = ""


@value
class ToolResult:
    id: str
    parts: tuple[Text | Image | File, ...]
    is_error: bool = False
    cache: str = ""
    place: str = ""


Part = Text | Image | File | Thought | Refused | ToolCall | ToolResult


@value
class Turn:
    """One message. Results of tools stand in turns of the user."""

    role: Role
    parts: tuple[Part, ...]
    place: str = ""


@value
class Tool:
    """A tool that runs with the caller. `schema` is that of its arguments, b"" where it takes any.

    Where it `takes_text` its argument is free text, that follows its `grammar`: an object with `syntax` and
    `definition`, b"" for any text.
    """

    name: str
    description: str = ""
    schema: bytes = b""
    strict: bool | None = None
    takes_text: bool = False
    grammar: bytes = b""
    cache: str = ""
    place: str = ""


@value
class Choice:
    """Whether tools are to be called: as the model likes, not at all, one of them, or the one that is named."""

    mode: Literal["auto", "none", "required", "named"]
    name: str = ""


@value
class Reasoning:
    """`effort` is one of "", "none", "minimal", "low", "medium", "high", "xhigh", "max"; `budget` is in tokens.

    `is_on` is None where that is left to the model. `is_shown` is whether the caller wants to read it.
    """

    effort: str = ""
    budget: int | None = None
    is_on: bool | None = None
    is_shown: bool | None = None


@value
class Structure:
    """The answer is to be JSON: by this `schema`, or any where it is b""."""

    schema: bytes = b""
    name: str = ""
    description: str = ""
    strict: bool | None = None


@value
class Fields:
    """What the parts of a form are called by its caller, for errors."""

    turns: str = "messages"
    tools: str = "tools"
    choice: str = "tool_choice"
    structure: str = "response_format"
    temperature: str = "temperature"
    tier: str = "service_tier"
    stops: str = "stop"
    effort: str = "reasoning_effort"
    parallel: str = "parallel_tool_calls"
    cache_key: str = "prompt_cache_key"


@value
class Form:
    """A request. Its output limit, in tokens, is no part of it: what was held is sent."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    choice: Choice | None = None
    parallel: bool | None = None
    """Whether several tools may be called at once; None where that is left to the model."""
    reasoning: Reasoning | None = None
    structure: Structure | None = None
    stops: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    stream: bool = False
    tier: str | None = None
    """The service tier, where it is the usual one: "auto", "default"."""
    cache: str = ""
    """Marked as a whole: its last part is to be kept in a cache."""
    is_marked: bool = False
    """Whether anything in it is marked for a cache."""
    cache_key: str = ""
    """By which requests that begin alike find each other's cache, where the protocol has such a key for marks."""
    hints: tuple[str, ...] = ()
    """Fields of the request that change its cost or its comfort and not its meaning, and that are left out."""
    fields: Fields = field(default_factory=Fields)


class Untranslatable(BadRequest):
    """What the protocol of the model's upstream has no words for; `param` names the field."""


def effort_of(asked: Reasoning) -> str:
    """In the words that most upstreams know; "" where it is left to the model."""
    if asked.effort == "none" or asked.is_on is False:
        return "none" if asked.effort == "none" else ""
    if asked.effort:
        return "high" if asked.effort in HIGH else asked.effort
    return effort_for(asked.budget)


def effort_for(budget: int | None) -> str:
    if budget is None:
        return ""
    return "low" if budget <= LOW_BUDGET else "medium" if budget <= MEDIUM_BUDGET else "high"
