"""A caller's request to Messages, read into the form that every protocol is written from."""

from collections.abc import Iterator, Sequence

import msgspec

from proxy.models import Protocol
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.neutral import shapes
from proxy.protocols.translate import seals
from proxy.protocols.translate.decoding import decoded, not_carried
from proxy.protocols.translate.form import (
    Choice,
    Fields,
    File,
    Form,
    Image,
    Part,
    Reasoning,
    Structure,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from proxy.protocols.translate.raw import raw_of

FIELDS = Fields(
    stops="stop_sequences",
    structure="output_config.format",
    effort="output_config.effort",
    parallel="tool_choice.disable_parallel_tool_use",
)
MAKER = Protocol.ANTHROPIC.value
TIERS = {None: None, "auto": "auto", "standard_only": "default"}
CACHE_MARK = b'"cache_control"'
BILLING = "x-anthropic-billing-header"
"""How the first block of the system's words begins in Claude Code: another text each time, that no model needs."""
MODES = {"auto": "auto", "none": "none", "any": "required", "tool": "named"}
_body = msgspec.json.Decoder(shapes.Body)
Content = Text | Image | File


def read(call: MessagesCall) -> Form:
    """Raises `Untranslatable` for what the form has no place for."""
    body = decoded(_body, b"{%b}" % call.rest)
    if call.compacts:
        raise not_carried("context_management")
    if call.service_tier not in TIERS:
        raise not_carried("service_tier")
    reader = Reader()
    turns = [*reader.system(body.system), *reader.turns(body.messages)]
    tools = [_tool(tool, f"tools[{index}]") for index, tool in enumerate(body.tools or ())] + reader.added
    return Form(
        turns=tuple(turns),
        tools=tuple(tools),
        choice=_choice(body.tool_choice),
        parallel=_parallel(body.tool_choice),
        reasoning=_reasoning(body),
        structure=_structure(body),
        stops=tuple(body.stop_sequences or ()),
        temperature=body.temperature,
        top_p=body.top_p,
        stream=call.stream,
        tier=TIERS[call.service_tier],
        cache="" if body.cache_control is None else body.cache_control.ttl,
        is_marked=CACHE_MARK in call.rest,
        hints=(*_hints(call, body), *(["messages.tool_removal"] if reader.has_removed else [])),
        fields=FIELDS,
    )


def _hints(call: MessagesCall, body: shapes.Body) -> Iterator[str]:
    yield from [name for name in shapes.HINTS if getattr(body, name) is not None and name != "cache_control"]
    if call.headers.get("anthropic-beta"):
        yield "anthropic-beta"
    if body.thinking is not None and body.thinking.display is not None:
        yield "thinking.display"
    for name in ("defer_loading", "input_examples", "eager_input_streaming"):
        if any(getattr(tool, name) for tool in body.tools or ()):
            yield f"tools.{name}"


class Reader:
    """Reads turns; `added` are the tools that came among them, and `has_removed` whether some were to go."""

    def __init__(self) -> None:
        self.has_removed = False
        self.added: list[Tool] = []

    def system(self, said: str | Sequence[shapes.TextBlock] | None) -> Iterator[Turn]:
        blocks = [shapes.TextBlock(text=said)] if isinstance(said, str) else said or ()
        parts = [Text(block.text, _mark(block.cache_control)) for block in blocks]
        if kept := tuple(part for part in parts if not part.text.startswith(BILLING)):
            yield Turn("system", kept, "system")

    def turns(self, messages: Sequence[shapes.Message]) -> Iterator[Turn]:
        for index, message in enumerate(messages):
            place = f"messages[{index}]"
            if isinstance(message.content, str):
                yield Turn(message.role, (Text(message.content),), place)
                continue
            parts: list[Part] = []
            for number, block in enumerate(message.content):
                parts += self._parts(message.role, block, f"{place}.content[{number}]")
            yield Turn(message.role, tuple(parts), place)

    def _parts(self, role: str, block: shapes.Block, place: str) -> list[Part]:
        is_answer = role == "assistant"
        match block:
            case shapes.Thinking() | shapes.Redacted() | shapes.Use() if is_answer:
                return [_answered(block, place)]
            case shapes.Result() if role == "user":
                return [_result(block, place)]
            case shapes.Addition() if not is_answer:
                if isinstance(block.tool, shapes.Defined):
                    self.added.append(_tool(block.tool.definition, f"{place}.tool.definition"))
                return []
            case shapes.Removal() if not is_answer:
                self.has_removed = True
                return []
            case shapes.TextBlock():
                return [*_content(block, place)]
            case shapes.ImageBlock() | shapes.DocumentBlock() | shapes.Found() | shapes.Reference() if role == "user":
                return [*_content(block, place)]
        raise not_carried(f"{place}.type", "It has no place in this turn.")


def _answered(block: shapes.Thinking | shapes.Redacted | shapes.Use, place: str) -> Part:
    """A thought that we sealed is anybody's; one of another maker is that maker's alone, who may stand in our seal."""
    if isinstance(block, shapes.Use):
        arguments = raw_of(block.input).decode()
        return ToolCall(block.id, block.name, arguments, cache=_mark(block.cache_control), place=place)
    is_hidden = isinstance(block, shapes.Redacted)
    text, seal = ("", block.data) if isinstance(block, shapes.Redacted) else (block.thinking, block.signature)
    if (inner := seals.unwrapped(seal)) is not None:
        seal, maker, is_hidden = inner
        return Thought(text, seal, maker, is_hidden)
    if is_hidden:
        return Thought("", seal, MAKER, is_hidden=True)
    return Thought(text) if seals.holds(seal, text) else Thought(text, seal, MAKER)


def _result(block: shapes.Result, place: str) -> ToolResult:
    parts: list[Content] = []
    if isinstance(block.content, str):
        parts.append(Text(block.content))
    else:
        for number, held in enumerate(block.content or ()):
            parts += _content(held, f"{place}.content[{number}]")
    return ToolResult(block.tool_use_id, tuple(parts), bool(block.is_error), _mark(block.cache_control), place)


def _content(
    block: shapes.TextBlock | shapes.ImageBlock | shapes.DocumentBlock | shapes.Found | shapes.Reference, place: str
) -> Iterator[Content]:
    cache = _mark(block.cache_control)
    match block:
        case shapes.TextBlock():
            yield Text(block.text, cache)
        case shapes.ImageBlock(source=shapes.Data(media_type=kind, data=data)):
            yield Image(kind, data, cache=cache, place=f"{place}.source")
        case shapes.ImageBlock(source=shapes.Address(url=url)):
            yield Image(url=url, cache=cache, place=f"{place}.source")
        case shapes.DocumentBlock():
            yield from _document(block, place, cache)
        case shapes.Found():
            words = "\n".join(text.text for text in block.content)
            yield Text(f"{block.title}\n{block.source}\n{words}", cache)
        case shapes.Reference():
            yield Text(f"{block.tool_name} is there to be called.", cache)


def _document(block: shapes.DocumentBlock, place: str, cache: str) -> Iterator[Content]:
    """A text's title and context are words before it."""
    source = block.source
    about = "\n".join(words for words in (block.title, block.context) if words)
    match source:
        case shapes.PlainText(data=text):
            yield Text(f"{about}\n{text}" if about else text, cache)
            return
        case shapes.Nested(content=content):
            if about:
                yield Text(about)
            if isinstance(content, str):
                yield Text(content, cache)
                return
            for number, held in enumerate(content):
                yield from _content(held, f"{place}.source.content[{number}]")
            return
        case shapes.Data(media_type=kind, data=data):
            file = File(kind, data, "", block.title or "", cache, f"{place}.source")
        case shapes.Address(url=url):
            file = File("", "", url, block.title or "", cache, f"{place}.source")
    if block.context:
        yield Text(block.context)
    yield file


def _tool(tool: shapes.Definition, place: str) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description or "",
        schema=raw_of(tool.input_schema),
        strict=tool.strict,
        cache=_mark(tool.cache_control),
        place=place,
    )


def _choice(choice: shapes.Choice | None) -> Choice | None:
    if choice is None:
        return None
    match MODES[choice.type]:
        case "named":
            return Choice("named", choice.name or "")
        case "required":
            return Choice("required")
        case "none":
            return Choice("none")
    return Choice("auto")


def _parallel(choice: shapes.Choice | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _reasoning(body: shapes.Body) -> Reasoning:
    """Who did not ask for thoughts gets none: a reader of the first block expects a text there."""
    effort = (body.output_config.effort if body.output_config is not None else None) or ""
    if (thinking := body.thinking) is None:
        return Reasoning(effort, is_shown=False)
    is_on = thinking.type != "disabled"
    return Reasoning(effort, thinking.budget_tokens, is_on, is_shown=is_on)


def _structure(body: shapes.Body) -> Structure | None:
    asked = (body.output_config.format if body.output_config is not None else None) or body.output_format
    return None if asked is None else Structure(raw_of(asked.schema), asked.name or "")


def _mark(mark: shapes.Mark | None) -> str:
    return "" if mark is None else mark.ttl
