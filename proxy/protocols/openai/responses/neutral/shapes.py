"""A request to Responses as the translation knows it. https://platform.openai.com/docs/api-reference/responses

A member that stands here and that nothing reads says nothing that an answer goes by, or is a hint that is named.
"""

from typing import Annotated, Any, Literal

import msgspec

from proxy.protocols.translate.decoding import Known

ABSENT = msgspec.Raw(b"")
GIVEN_TEXT, SAID_TEXT = (f"{side}_text" for side in ("input", "output"))
"""The types of a text that a model is given, and of one that it wrote."""
Word = Annotated[str, msgspec.Meta(min_length=1)]
Nothing = Annotated[list[Any], msgspec.Meta(max_length=0)]


class InputText(Known, tag_field="type", tag=GIVEN_TEXT):
    text: str
    prompt_cache_breakpoint: Any = None


class InputImage(Known, tag_field="type", tag="input_image"):
    image_url: Word
    detail: str | None = None
    file_id: None = None
    prompt_cache_breakpoint: Any = None


class InputFile(Known, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    file_id: None = None
    detail: str | None = None
    prompt_cache_breakpoint: Any = None


class OutputText(Known, tag_field="type", tag=SAID_TEXT):
    text: str
    annotations: Any = None
    logprobs: Any = None


class RefusalPart(Known, tag_field="type", tag="refusal"):
    refusal: str


Content = InputText | InputImage | InputFile | OutputText | RefusalPart
Shown = InputText | InputImage | InputFile
"""What a tool may give back."""


class Easy(Known):
    """A message whose sender left its type out."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    id: str | None = None
    status: str | None = None
    phase: str | None = None


class Message(Easy, tag_field="type", tag="message"):
    pass


class SummaryText(Known):
    text: str
    type: Literal["summary_text", "reasoning_text", "text"] = "summary_text"


class Reasoned(Known, tag_field="type", tag="reasoning"):
    summary: list[SummaryText] | None = None
    content: list[SummaryText] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None


class Direct(Known):
    """Who called: the model itself, and not a program of its."""

    type: Literal["direct"]


class FunctionCall(Known, tag_field="type", tag="function_call"):
    call_id: Word
    name: Word
    arguments: str = ""
    namespace: str | None = None
    id: str | None = None
    status: str | None = None
    caller: Direct | None = None


class CustomCall(Known, tag_field="type", tag="custom_tool_call"):
    call_id: Word
    name: Word
    input: str = ""
    namespace: str | None = None
    id: str | None = None
    status: str | None = None
    caller: Direct | None = None


class FunctionOutput(Known, tag_field="type", tag="function_call_output"):
    call_id: Word
    output: str | list[Shown]
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    status: str | None = None
    caller: Direct | None = None


class CustomOutput(Known, tag_field="type", tag="custom_tool_call_output"):
    call_id: Word
    output: str | list[Shown]
    name: str | None = None
    namespace: str | None = None
    id: str | None = None
    status: str | None = None
    caller: Direct | None = None


class FunctionTool(Known, tag_field="type", tag="function"):
    name: Word
    parameters: msgspec.Raw = ABSENT
    strict: bool | None = None
    description: str | None = None
    defer_loading: bool | None = None
    output_schema: Any = None
    allowed_callers: list[Literal["direct"]] | None = None


class CustomTool(Known, tag_field="type", tag="custom"):
    name: Word
    description: str | None = None
    format: "AnyText | Grammar | None" = None
    defer_loading: bool | None = None
    allowed_callers: list[Literal["direct"]] | None = None


class AnyText(Known, tag_field="type", tag="text"):
    pass


class Grammar(Known, tag_field="type", tag="grammar"):
    syntax: str
    definition: str


class Namespace(Known, tag_field="type", tag="namespace"):
    name: Word
    tools: list[FunctionTool | CustomTool]
    description: str | None = None


Offered = FunctionTool | CustomTool | Namespace


class AdditionalTools(Known, tag_field="type", tag="additional_tools"):
    tools: list[Offered]
    role: str | None = None
    id: str | None = None


Item = Message | Reasoned | FunctionCall | CustomCall | FunctionOutput | CustomOutput | AdditionalTools
AnyItem = Item | Easy


class NamedFunction(Known, tag_field="type", tag="function"):
    name: Word
    namespace: str | None = None


class NamedCustom(Known, tag_field="type", tag="custom"):
    name: Word
    namespace: str | None = None


class Allowed(Known, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: list[NamedFunction | NamedCustom]


class AsText(Known, tag_field="type", tag="text"):
    pass


class AsAnyJson(Known, tag_field="type", tag="json_object"):
    pass


class AsJson(Known, tag_field="type", tag="json_schema"):
    schema: msgspec.Raw
    name: str = ""
    description: str | None = None
    strict: bool | None = None


class Written(Known):
    format: AsText | AsAnyJson | AsJson | None = None
    verbosity: str | None = None


class Effort(Known):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: Literal["standard"] | None = None


class Body(Known):
    """Without what is ours to write; behind the blank line what may be there if it says what is usual."""

    input: msgspec.Raw = ABSENT
    instructions: str | None = None
    tools: list[Offered] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedFunction | NamedCustom | Allowed | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Effort | None = None
    text: Written | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    prompt_cache_key: str | None = None

    background: Literal[False] | None = None
    conversation: None = None
    previous_response_id: None = None
    prompt: None = None
    top_logprobs: Literal[0] | None = None
    context_management: Nothing | None = None

    client_metadata: Any = None
    include: list[str] | None = None
    max_tool_calls: Any = None
    metadata: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    store: bool | None = None
    stream_options: Any = None
    truncation: Any = None
    user: Any = None


HINTS = (
    *("client_metadata", "max_tool_calls", "metadata", "prompt_cache_options"),
    *("prompt_cache_retention", "safety_identifier", "stream_options", "user"),
)
"""Fields that change what an answer costs, who sees it or how alike two are, and not what is asked."""
