"""The form as a request to Messages, for an upstream that speaks it."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from proxy.prices.catalog import Destination
from proxy.protocols import lossless
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.neutral.asked import MAKER
from proxy.protocols.translate.decoding import not_carried
from proxy.protocols.translate.form import (
    Choice,
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
    effort_for,
)
from proxy.protocols.translate.free import as_functions
from proxy.protocols.translate.ids import Ids
from proxy.protocols.translate.raw import as_object, fragment, is_object
from proxy.protocols.translate.side import Written

VERSION = "2023-06-01"
ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ANY_SCHEMA = b'{"type":"object","properties":{}}'
PDF = "application/pdf"
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
WITH_BUDGETS = re.compile(r"claude-(?:3-7|(?:opus|sonnet)-4(?:-[015])?(?![-.]?\d{1,2}(?!\d))|haiku-4-5)")
"""Models that think within a budget of tokens; later ones know how hard they are to think."""
SHARES = {"minimal": 0.1, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95, "max": 0.95}
"""Of the output limit, for thinking: OpenRouter's."""
EFFORTS = {"minimal": "low", "xhigh": "high"}
"""Words that not every model here knows, and the nearest that they do."""
LEAST_BUDGET = 1_024
SYSTEM = ("system", "developer")
FORCED = ("required", "named")
"""A model that has to call a tool may not think before."""


def write(form: Form, destination: Destination, *, output_limit: int | None) -> Written:
    """Raises `Untranslatable` for what Messages has no words for."""
    form = as_functions(form)
    writer = _Writer(form)
    body = writer.turns()
    if form.tools:
        body["tools"] = [_tool(tool) for tool in form.tools]
        body |= _choice(form.choice, form.parallel)
    elif writer.called:
        # Calls in the history have to be of tools that are defined; none of them is to be called again.
        body["tools"] = [_tool(Tool(name)) for name in writer.called]
        body["tool_choice"] = {"type": "none"}
    output: dict[str, Any] = {} if form.structure is None else {"format": _structure(form.structure, form)}
    if form.reasoning is not None:
        thinking, effort = _thinking(form.reasoning, destination.upstream_model, output_limit)
        is_forced = bool(form.tools) and form.choice is not None and form.choice.mode in FORCED
        if thinking and not is_forced and (effort or not writer.lacks_thoughts):
            body["thinking"] = thinking
        elif thinking:
            writer.left_out.append(form.fields.effort)
        output |= {"effort": effort} if effort else {}
    if output:
        body["output_config"] = output
    if form.stops:
        body["stop_sequences"] = list(form.stops)
    if form.temperature not in (None, 1) and "thinking" not in body:
        if form.temperature is not None and not 0 <= form.temperature <= 1:
            raise not_carried(form.fields.temperature, "It may be from 0 to 1.")
        body["temperature"] = form.temperature
    if form.top_p not in (None, 1):
        body["top_p"] = form.top_p
    if cache := form.cache or ("5m" if form.cache_key and not form.is_marked else ""):
        body["cache_control"] = _mark(cache)
    if form.stream:
        body["stream"] = True
    tier = None if form.tier is None else "standard_only"
    call = MessagesCall(
        stream=form.stream, rest=orjson.dumps(body)[1:-1], service_tier=tier, headers={"anthropic-version": VERSION}
    )
    ignored = [*form.hints, *writer.left_out, *(["image_url.detail"] if writer.has_details else [])]
    if form.temperature not in (None, 1) and "thinking" in body:
        ignored.append(form.fields.temperature)
    return Written(call, tuple(dict.fromkeys(ignored)))


class _Writer:
    """Writes the turns."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._ids = Ids(ID)
        self.called: dict[str, None] = {}
        """The tools that were called so far."""
        self.left_out: list[str] = []
        self.has_details = False
        """Whether a picture says how closely it is to be looked at."""
        self.lacks_thoughts = False
        """Whether the last turn that called tools has no thoughts with a seal: an older model refuses to think on."""

    def turns(self) -> dict[str, Any]:
        """`system` and `messages`: what comes before the first other turn is the system's."""
        turns, fields = list(self._form.turns), self._form.fields
        first = next((at for at, turn in enumerate(turns) if turn.role not in SYSTEM), len(turns))
        system = [self._content(part) for turn in turns[:first] for part in _said(turn)]
        messages: list[dict[str, Any]] = []
        for turn in turns[first:]:
            role = "system" if turn.role in SYSTEM else turn.role
            blocks = [*self._blocks(turn)]
            if not blocks:
                continue
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": role, "content": blocks})
        for message in messages:
            if message["role"] == "user":
                message["content"].sort(key=lambda block: block["type"] != "tool_result")
        if not messages:
            raise not_carried(fields.turns, "They need one of the user's that says something.")
        if messages[-1]["role"] == "assistant":
            raise not_carried(fields.turns, "The last message has to be the user's.")
        answers = [message["content"] for message in messages if message["role"] == "assistant"]
        calls = bool(answers) and answers[-1][-1]["type"] == "tool_use"
        self.lacks_thoughts = calls and answers[-1][0]["type"] not in ("thinking", "redacted_thinking")
        found: dict[str, Any] = {"system": system} if system else {}
        return {**found, "messages": messages}

    def _blocks(self, turn: Turn) -> Iterator[dict[str, Any]]:
        if turn.role in SYSTEM:
            yield from map(self._content, _said(turn))
            return
        for part in turn.parts:
            match part:
                case Thought():
                    if part.maker == MAKER and part.seal:
                        yield _thought(part)
                case ToolCall():
                    yield self._call(part)
                case ToolResult():
                    yield self._result(part)
                case Text(text=text) | Refused(text=text):
                    if text.strip():
                        yield self._content(part)
                case Image() | File():
                    if turn.role == "assistant":
                        raise not_carried(part.place or turn.place, "A model's own turn holds no such thing.")
                    yield self._content(part)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        id = self._ids.of_call(call.id)
        self.called[call.name] = None
        block = {"type": "tool_use", "id": id, "name": call.name, "input": as_object(call.arguments)}
        return _marked(block, call.cache)

    def _result(self, result: ToolResult) -> dict[str, Any]:
        content = [self._content(part) for part in result.parts if not isinstance(part, Text) or part.text.strip()]
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._ids.of_result(result.id)}
        if content:
            block["content"] = content
        if result.is_error:
            block["is_error"] = True
        marks = [part.cache for part in result.parts if part.cache]
        return _marked(block, result.cache or (marks[-1] if marks and not content else ""))

    def _content(self, part: Part) -> dict[str, Any]:
        match part:
            case Text():
                return _marked({"type": "text", "text": part.text}, part.cache)
            case Refused():
                return {"type": "text", "text": part.text}
            case Image():
                self.has_details = self.has_details or bool(part.detail)
                if part.data and part.media_type not in PICTURES:
                    raise not_carried(part.place, f"It may be one of {', '.join(sorted(PICTURES))}.")
                return _marked({"type": "image", "source": _source(part)}, part.cache)
            case File():
                return _marked(_document(part), part.cache)
        raise not_carried(getattr(part, "place", ""), "It has no place in this turn.")


def _said(turn: Turn) -> list[Text]:
    return [part for part in turn.parts if isinstance(part, Text) and part.text.strip()]


def _source(part: Image | File) -> dict[str, Any]:
    if part.url:
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


def _document(part: File) -> dict[str, Any]:
    if part.data and part.media_type != PDF:
        raise not_carried(part.place, f"It may be {PDF}; send any other text as text.")
    block = {"type": "document", "source": _source(part)}
    return {**block, "title": part.name} if part.name else block


def _thought(part: Thought) -> dict[str, Any]:
    if part.is_hidden:
        return {"type": "redacted_thinking", "data": part.seal}
    return {"type": "thinking", "thinking": part.text, "signature": part.seal}


def _tool(tool: Tool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    said["input_schema"] = fragment(_schema(tool.schema))
    if tool.strict:
        said["strict"] = True
    return _marked(said, tool.cache)


def _schema(raw: bytes) -> bytes:
    """Of an object, which has to be said here."""
    if not raw or b'"type"' in raw or not is_object(raw):
        return raw or ANY_SCHEMA
    return lossless.splice(raw, {"type": b'"object"'})


MODES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def _choice(choice: Choice | None, parallel: bool | None) -> dict[str, Any]:
    """Whether several calls may be made at once is said with the choice here."""
    if choice is None and parallel is None:
        return {}
    said: dict[str, Any] = {"type": MODES[choice.mode if choice is not None else "auto"]}
    if choice is not None and choice.mode == "named":
        said["name"] = choice.name
    if parallel is not None and said["type"] != "none":
        said["disable_parallel_tool_use"] = not parallel
    return {"tool_choice": said}


def _structure(asked: Structure, form: Form) -> dict[str, Any]:
    if not asked.schema:
        raise not_carried(form.fields.structure, "JSON needs a schema here.")
    return {"type": "json_schema", "schema": fragment(asked.schema)}


def _thinking(asked: Reasoning, model: str, limit: int | None) -> tuple[dict[str, Any], str]:
    """How it is to think, and how hard, where that is not said in tokens. A budget is part of the output limit."""
    if asked.is_on is False or asked.effort == "none" or not (asked.effort or asked.budget or asked.is_on):
        return {}, ""
    if WITH_BUDGETS.search(model) is None:
        effort = asked.effort or effort_for(asked.budget)
        return {"type": "adaptive"}, EFFORTS.get(effort, effort)
    budget = asked.budget or int((limit or 0) * SHARES.get(asked.effort or "medium", SHARES["medium"]))
    budget = max(budget, LEAST_BUDGET)
    if limit is not None:
        budget = min(budget, limit - 1)
    return ({"type": "enabled", "budget_tokens": budget}, "") if budget >= LEAST_BUDGET else ({}, "")


def _mark(ttl: str) -> dict[str, str]:
    """Five minutes are what is meant where nothing is said."""
    return {"type": "ephemeral", **({"ttl": ttl} if ttl != "5m" else {})}


def _marked(block: dict[str, Any], cache: str) -> dict[str, Any]:
    return {**block, "cache_control": _mark(cache)} if cache else block
