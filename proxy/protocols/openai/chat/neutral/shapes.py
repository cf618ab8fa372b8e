"""A chat completion as the translation knows it. https://platform.openai.com/docs/api-reference/chat

A member that stands here and that nothing reads says nothing that an answer goes by, or may be nothing but null.
"""

from typing import Annotated, Any, Literal

import msgspec

from proxy.protocols.translate.decoding import Known

ABSENT = msgspec.Raw(b"")
Word = Annotated[str, msgspec.Meta(min_length=1)]


class Mark(Known):
    """What OpenRouter and LiteLLM take for Anthropic's caches."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class TextPart(Known, tag_field="type", tag="text"):
    text: str
    cache_control: Mark | None = None


class RefusalPart(Known, tag_field="type", tag="refusal"):
    refusal: str


class Address(Known):
    url: Word
    detail: str | None = None


class ImagePart(Known, tag_field="type", tag="image_url"):
    image_url: Address | Word
    cache_control: Mark | None = None


class Document(Known):
    file_data: Word
    filename: str | None = None


class FilePart(Known, tag_field="type", tag="file"):
    file: Document
    cache_control: Mark | None = None


class System(Known, tag_field="role", tag="system"):
    content: str | list[TextPart]
    name: str | None = None
    cache_control: Mark | None = None


class Developer(Known, tag_field="role", tag="developer"):
    content: str | list[TextPart]
    name: str | None = None
    cache_control: Mark | None = None


class User(Known, tag_field="role", tag="user"):
    content: str | list[TextPart | ImagePart | FilePart]
    name: str | None = None
    cache_control: Mark | None = None


class Function(Known):
    name: Word
    arguments: str = ""


class Custom(Known):
    name: Word
    input: str = ""


class FunctionCall(Known, tag_field="type", tag="function"):
    id: Word
    function: Function
    index: int | None = None
    cache_control: Mark | None = None


class CustomCall(Known, tag_field="type", tag="custom"):
    id: Word
    custom: Custom
    index: int | None = None
    cache_control: Mark | None = None


class Detail(msgspec.Struct, gc=False):
    """A thought with the signature of its maker, as OpenRouter has it; `format` begins with the maker."""

    type: str = ""
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    format: str | None = None
    id: str | None = None


class Assistant(Known, tag_field="role", tag="assistant"):
    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    name: str | None = None
    cache_control: Mark | None = None
    annotations: Any = None
    audio: None = None
    function_call: None = None


class Result(Known, tag_field="role", tag="tool"):
    content: str | list[TextPart | ImagePart | FilePart]
    tool_call_id: Word
    name: str | None = None
    cache_control: Mark | None = None


Message = System | Developer | User | Assistant | Result


class FunctionDefinition(Known):
    name: Word
    description: str | None = None
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None


class FunctionTool(Known, tag_field="type", tag="function"):
    function: FunctionDefinition
    cache_control: Mark | None = None
    defer_loading: bool | None = None


class AnyText(Known, tag_field="type", tag="text"):
    pass


class Grammar(Known, tag_field="type", tag="grammar"):
    grammar: msgspec.Raw


class CustomDefinition(Known):
    name: Word
    description: str | None = None
    format: AnyText | Grammar | None = None


class CustomTool(Known, tag_field="type", tag="custom"):
    custom: CustomDefinition


class Named(Known):
    name: Word


class NamedFunction(Known, tag_field="type", tag="function"):
    function: Named


class NamedCustom(Known, tag_field="type", tag="custom"):
    custom: Named


class AsText(Known, tag_field="type", tag="text"):
    pass


class AsAnyJson(Known, tag_field="type", tag="json_object"):
    pass


class Schema(Known):
    name: str = ""
    description: str | None = None
    schema: msgspec.Raw = ABSENT
    strict: bool | None = None


class AsJson(Known, tag_field="type", tag="json_schema"):
    json_schema: Schema


class Effort(Known):
    """OpenRouter's; `exclude` is not to show it."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class Thinking(Known):
    """As others than OpenAI have it."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None


class Body(Known):
    """Without what is ours to write; behind the blank line what may be there if it says what is usual."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedFunction | NamedCustom | None = None
    parallel_tool_calls: bool | None = None
    response_format: AsText | AsAnyJson | AsJson | None = None
    reasoning_effort: str | None = None
    reasoning: Effort | None = None
    thinking: Thinking | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    cache_control: Mark | None = None
    prompt_cache_key: str | None = None

    n: Literal[1] | None = None
    frequency_penalty: Annotated[float, msgspec.Meta(ge=0, le=0)] | None = None
    presence_penalty: Annotated[float, msgspec.Meta(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, float], msgspec.Meta(max_length=0)] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    modalities: list[Literal["text"]] | None = None
    functions: Annotated[list[Any], msgspec.Meta(max_length=0)] | None = None
    function_call: None = None
    audio: None = None
    web_search_options: None = None

    metadata: Any = None
    prediction: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    seed: Any = None
    store: Literal[False] | None = None
    top_k: Any = None
    user: Any = None
    verbosity: Any = None


HINTS = (
    *("metadata", "prediction", "prompt_cache_options", "prompt_cache_retention"),
    *("safety_identifier", "seed", "store", "top_k", "user", "verbosity"),
)
"""Fields that change what an answer costs, who sees it or how alike two are, and not what is asked."""
