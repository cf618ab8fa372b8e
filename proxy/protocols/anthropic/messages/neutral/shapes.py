"""A request to Messages as the translation knows it. https://docs.claude.com/en/api/messages

A member that stands here and that nothing reads says nothing that an answer goes by, or is a hint that is named.
"""

from typing import Annotated, Any, Literal

import msgspec

from proxy.protocols.translate.decoding import Known

ABSENT = msgspec.Raw(b"")
Word = Annotated[str, msgspec.Meta(min_length=1)]


class Mark(Known):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"
    scope: str | None = None


class Citing(Known):
    enabled: Literal[False] = False


class TextBlock(Known, tag_field="type", tag="text"):
    text: str
    cache_control: Mark | None = None
    citations: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None


class Data(Known, tag_field="type", tag="base64"):
    media_type: Word
    data: Word


class Address(Known, tag_field="type", tag="url"):
    url: Word


class PlainText(Known, tag_field="type", tag="text"):
    data: str
    media_type: str = "text/plain"


class ImageBlock(Known, tag_field="type", tag="image"):
    source: Data | Address
    cache_control: Mark | None = None


class Nested(Known, tag_field="type", tag="content"):
    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(Known, tag_field="type", tag="document"):
    source: Data | Address | PlainText | Nested
    title: str | None = None
    context: str | None = None
    citations: Citing | None = None
    cache_control: Mark | None = None


class Found(Known, tag_field="type", tag="search_result"):
    """What the caller's own search found."""

    source: str
    title: str
    content: list[TextBlock]
    citations: Citing | None = None
    cache_control: Mark | None = None


class Reference(Known, tag_field="type", tag="tool_reference"):
    """A tool that the caller's own search of tools found."""

    tool_name: Word
    cache_control: Mark | None = None


class Result(Known, tag_field="type", tag="tool_result"):
    tool_use_id: Word
    content: str | list[TextBlock | ImageBlock | DocumentBlock | Found | Reference] | None = None
    is_error: bool | None = None
    cache_control: Mark | None = None


class Thinking(Known, tag_field="type", tag="thinking"):
    thinking: str
    signature: str = ""


class Redacted(Known, tag_field="type", tag="redacted_thinking"):
    data: str


class Direct(Known):
    type: Literal["direct"]


class Use(Known, tag_field="type", tag="tool_use"):
    id: Word
    name: Word
    input: msgspec.Raw = ABSENT
    caller: Direct | None = None
    cache_control: Mark | None = None


class Definition(Known):
    """A tool that runs with the caller and of which it says all."""

    name: Word
    type: Literal["custom"] | None = None
    description: str | None = None
    input_schema: msgspec.Raw = ABSENT
    strict: bool | None = None
    cache_control: Mark | None = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None
    input_examples: Any = None
    eager_input_streaming: bool | None = None


class Defined(Known, tag_field="type", tag="tool_definition"):
    definition: Definition


class Declared(Known, tag_field="type", tag="tool_reference"):
    """One of the request's tools, which are all told to a model of another protocol."""

    name: Word


class Addition(Known, tag_field="type", tag="tool_addition"):
    """A tool that comes in the midst of the messages."""

    tool: Defined | Declared
    cache_control: Mark | None = None


class Removal(Known, tag_field="type", tag="tool_removal"):
    """And one that goes."""

    tool: Declared
    cache_control: Mark | None = None


Change = Addition | Removal
Block = TextBlock | ImageBlock | DocumentBlock | Found | Result | Thinking | Redacted | Use | Reference | Change


class Message(Known):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Choice(Known):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thought(Known):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None


class Format(Known):
    type: Literal["json_schema"]
    schema: msgspec.Raw = ABSENT
    name: str | None = None


class Output(Known):
    effort: str | None = None
    format: Format | None = None


class Body(Known):
    """Without what is ours to write; behind the blank line hints, and what may be there if it says what is usual."""

    messages: list[Message]
    system: str | list[TextBlock] | None = None
    tools: list[Definition] | None = None
    tool_choice: Choice | None = None
    thinking: Thought | None = None
    output_config: Output | None = None
    output_format: Format | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    cache_control: Mark | None = None

    context_management: Any = None
    metadata: Any = None
    top_k: Any = None
    speed: Literal["standard"] | None = None
    inference_geo: Literal["global"] | None = None


HINTS = ("cache_control", "context_management", "metadata", "top_k")
"""Fields that change what an answer costs, who sees it or how alike two are, and not what is asked."""
