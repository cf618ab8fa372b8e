"""A caller's chat completion, read into the form that every protocol is written from."""

from collections.abc import Iterator, Sequence

import msgspec

from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.neutral import shapes
from proxy.protocols.translate.decoding import data_in, decoded, not_carried
from proxy.protocols.translate.form import (
    Choice,
    Fields,
    File,
    Form,
    Image,
    Part,
    Reasoning,
    Refused,
    Structure,
    Text,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from proxy.protocols.translate.raw import raw_of

FIELDS = Fields()
TIERS = ("auto", "default")
CACHE_MARK = b'"cache_control"'
SIGNED, SEALED = "reasoning.text", "reasoning.encrypted"
_body = msgspec.json.Decoder(shapes.Body)


def read(call: ChatCall) -> Form:
    """Raises `Untranslatable` for what the form has no place for."""
    body = decoded(_body, b"{%b}" % call.rest)
    if call.service_tier not in (None, *TIERS):
        raise not_carried("service_tier")
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or ()
    named = [name for name in shapes.HINTS if getattr(body, name) is not None]
    hints = [*named, *(["stream_options"] if call.stream_options else []), *_inner_hints(body)]
    return Form(
        turns=tuple(_turns(body.messages)),
        tools=tuple(_tools(body)),
        choice=_choice(body),
        parallel=body.parallel_tool_calls if body.tools else None,
        reasoning=_reasoning(body),
        structure=_structure(body.response_format),
        stops=tuple(stops),
        temperature=body.temperature,
        top_p=body.top_p,
        stream=call.stream,
        tier=call.service_tier,
        cache=_mark(body.cache_control),
        is_marked=CACHE_MARK in call.rest,
        cache_key=body.prompt_cache_key or "",
        hints=tuple(dict.fromkeys(hints)),
        fields=FIELDS,
    )


def _inner_hints(body: shapes.Body) -> Iterator[str]:
    for message in body.messages:
        if message.name:
            yield "messages.name"
    if any(isinstance(tool, shapes.FunctionTool) and tool.defer_loading for tool in body.tools or ()):
        yield "tools.defer_loading"


def _turns(messages: Sequence[shapes.Message]) -> Iterator[Turn]:
    """Results of tools in a row are one turn of the user's."""
    results: list[Part] = []
    first = ""
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if isinstance(message, shapes.Result):
            first = first or place
            results.append(_result(message, place))
            continue
        if results:
            yield Turn("user", tuple(results), first)
            results, first = [], ""
        match message:
            case shapes.Assistant():
                yield Turn("assistant", tuple(_answered(message, place)), place)
            case shapes.User():
                yield Turn("user", _parts(message.content, place, _mark(message.cache_control)), place)
            case shapes.System():
                yield Turn("system", _parts(message.content, place, _mark(message.cache_control)), place)
            case shapes.Developer():
                yield Turn("developer", _parts(message.content, place, _mark(message.cache_control)), place)
    if results:
        yield Turn("user", tuple(results), first)


def _parts(
    content: str | Sequence[shapes.TextPart | shapes.ImagePart | shapes.FilePart], place: str, cache: str
) -> tuple[Text | Image | File, ...]:
    """`cache` is the mark of the message, which is that of its last part."""
    if isinstance(content, str):
        return (Text(content, cache),)
    last = len(content) - 1
    return tuple(
        _part(part, f"{place}.content[{number}]", _mark(part.cache_control) or (cache if number == last else ""))
        for number, part in enumerate(content)
    )


def _part(part: shapes.TextPart | shapes.ImagePart | shapes.FilePart, place: str, cache: str) -> Text | Image | File:
    if isinstance(part, shapes.TextPart):
        return Text(part.text, cache)
    if isinstance(part, shapes.ImagePart):
        held = part.image_url
        url, detail = (held, None) if isinstance(held, str) else (held.url, held.detail)
        media_type, data = data_in(url, f"{place}.image_url.url")
        detail = "" if detail in (None, "auto") else detail or ""
        return Image(media_type, data, "" if data else url, detail, cache, f"{place}.image_url")
    media_type, data = data_in(part.file.file_data, f"{place}.file.file_data")
    url = "" if data else part.file.file_data
    return File(media_type, data, url, part.file.filename or "", cache, f"{place}.file")


def _result(message: shapes.Result, place: str) -> ToolResult:
    return ToolResult(
        message.tool_call_id, _parts(message.content, place, ""), cache=_mark(message.cache_control), place=place
    )


def _answered(message: shapes.Assistant, place: str) -> Iterator[Part]:
    """What was thought, what was said, which tools were called."""
    yield from _thoughts(message)
    content = message.content
    if isinstance(content, str):
        yield Text(content, _mark(message.cache_control))
    elif content:
        for number, part in enumerate(content):
            is_last = number == len(content) - 1
            if isinstance(part, shapes.RefusalPart):
                yield Refused(part.refusal)
            else:
                yield Text(part.text, _mark(part.cache_control) or (_mark(message.cache_control) if is_last else ""))
    if message.refusal:
        yield Refused(message.refusal)
    for number, call in enumerate(message.tool_calls or ()):
        at, mark = f"{place}.tool_calls[{number}]", _mark(call.cache_control)
        if isinstance(call, shapes.FunctionCall):
            yield ToolCall(call.id, call.function.name, call.function.arguments, cache=mark, place=at)
        else:
            yield ToolCall(call.id, call.custom.name, call.custom.input, takes_text=True, cache=mark, place=at)


def _thoughts(message: shapes.Assistant) -> Iterator[Thought]:
    """Those with a signature as they stand; else what was thought as a text alone."""
    signed = [_signed(detail) for detail in message.reasoning_details or ()]
    thoughts = [thought for thought in signed if thought is not None]
    if thoughts:
        yield from thoughts
    elif text := message.reasoning_content or message.reasoning:
        yield Thought(text)


def _signed(detail: shapes.Detail) -> Thought | None:
    maker = (detail.format or "").partition("-")[0]
    if detail.type == SIGNED and detail.text and detail.signature:
        return Thought(detail.text, detail.signature, maker, id=detail.id or "")
    if detail.type == SEALED and detail.data:
        return Thought("", detail.data, maker, is_hidden=True, id=detail.id or "")
    return None


def _tools(body: shapes.Body) -> Iterator[Tool]:
    for index, tool in enumerate(body.tools or ()):
        place = f"tools[{index}]"
        if isinstance(tool, shapes.FunctionTool):
            said = tool.function
            yield Tool(
                name=said.name,
                description=said.description or "",
                schema=raw_of(said.parameters),
                strict=said.strict,
                cache=_mark(tool.cache_control),
                place=place,
            )
        else:
            free = tool.custom
            yield Tool(free.name, free.description or "", takes_text=True, grammar=_grammar(free.format), place=place)


def _grammar(asked: shapes.AnyText | shapes.Grammar | None) -> bytes:
    return raw_of(asked.grammar) if isinstance(asked, shapes.Grammar) else b""


def _choice(body: shapes.Body) -> Choice | None:
    match body.tool_choice:
        case shapes.NamedFunction(function=named) | shapes.NamedCustom(custom=named):
            return Choice("named", named.name)
        case "auto" | "none" | "required" as mode if body.tools:
            return Choice(mode)
    return None


def _reasoning(body: shapes.Body) -> Reasoning | None:
    effort, budget, is_on, is_shown = body.reasoning_effort or "", None, None, None
    if (asked := body.reasoning) is not None:
        effort, budget, is_on = asked.effort or effort, asked.max_tokens, asked.enabled
        is_shown = None if asked.exclude is None else not asked.exclude
    if (thinking := body.thinking) is not None:
        budget, is_on = thinking.budget_tokens or budget, thinking.type != "disabled"
    if effort == "none":
        is_on = False
    if not effort and budget is None and is_on is None:
        return None
    return Reasoning(effort, budget, is_on, is_shown)


def _structure(asked: shapes.AsText | shapes.AsAnyJson | shapes.AsJson | None) -> Structure | None:
    if isinstance(asked, shapes.AsJson):
        said = asked.json_schema
        return Structure(raw_of(said.schema), said.name, said.description or "", said.strict)
    return Structure() if isinstance(asked, shapes.AsAnyJson) else None


def _mark(mark: shapes.Mark | None) -> str:
    return "" if mark is None else mark.ttl
