"""The form as a request to Responses, for an upstream that speaks it. Nothing of it is stored there."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from core.records import value
from proxy.protocols.base import Habits
from proxy.protocols.openai.pointing import address_of
from proxy.protocols.openai.responses.neutral import shapes
from proxy.protocols.openai.responses.neutral.asked import GIVEN
from proxy.protocols.openai.responses.neutral.turns import MAKER
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
    effort_of,
)
from proxy.protocols.translate.ids import Ids
from proxy.protocols.translate.raw import fragment

INCLUDE, EFFORT, SUMMARY, PARALLEL = "include", "reasoning.effort", "reasoning.summary", "parallel_tool_calls"
OPTIONAL = {
    INCLUDE: "include|encrypted content|encrypted_content",
    EFFORT: r"reasoning\.effort",
    SUMMARY: r"reasoning\.summary|reasoning summar(?:y|ies)",
    PARALLEL: PARALLEL,
}
"""What some models do not take and the request can do without, and the words by which they refuse it."""
ANY_ID = re.compile(r"[\x21-\x7e]{1,64}")
ANY_SCHEMA = b'{"type":"object","properties":{}}'
FAILED = "Error: "
"""Before the words of a result that is an error, for which there is no word here."""


@value
class Asking:
    """The request's members, without those that are the endpoint's to write; and what was left out."""

    rest: bytes
    ignored: tuple[str, ...]


def write(form: Form, *, habits: Habits) -> Asking:
    """Raises `Untranslatable` for what Responses has no words for."""
    if form.stops:
        raise not_carried(form.fields.stops, "This model's provider knows no stop sequences.")
    body: dict[str, Any] = {"input": _Writer(form).items(), "store": False}
    ignored = [*form.hints, *(["cache_control"] if form.is_marked else [])]
    if form.tools:
        body["tools"] = [_tool(tool) for tool in form.tools]
        if form.choice is not None:
            body["tool_choice"] = _choice(form.choice, form.tools)
        if form.parallel is not None and PARALLEL not in habits.refused:
            body[PARALLEL] = form.parallel
        elif form.parallel is not None:
            ignored.append(form.fields.parallel)
    if reasoning := _reasoning(form.reasoning, habits):
        body["reasoning"] = reasoning
    if form.reasoning is not None and effort_of(form.reasoning) and EFFORT in habits.refused:
        ignored.append(form.fields.effort)
    if INCLUDE not in habits.refused:
        body[INCLUDE] = [GIVEN]
    if form.structure is not None:
        body["text"] = {"format": _structure(form.structure)}
    usual = {"temperature": form.temperature, "top_p": form.top_p}
    body |= {name: value for name, value in usual.items() if value not in (None, 1)}
    if form.cache_key:
        body["prompt_cache_key"] = form.cache_key
    if form.stream:
        body["stream"] = True
    return Asking(orjson.dumps(body)[1:-1], tuple(dict.fromkeys(ignored)))


class _Writer:
    """Writes the turns."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._ids = Ids(ANY_ID)
        self._free: set[str] = set()
        """The calls whose argument is free text."""

    def items(self) -> list[dict[str, Any]]:
        turns = self._form.turns
        if turns and turns[-1].role == "assistant":
            raise not_carried(self._form.fields.turns, "The last message has to be the user's: there is no prefill.")
        found = [item for turn in turns for item in self._turn(turn)]
        if not found:
            raise not_carried(self._form.fields.turns, "They say nothing.")
        return found

    def _turn(self, turn: Turn) -> Iterator[dict[str, Any]]:
        """Runs of what is said are one message each; all else is an item of its own."""
        said: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for part in turn.parts:
            match part:
                case ToolResult():
                    others.append(self._result(part))
                    continue
                case Text() | Refused() | Image() | File():
                    if turn.role == "assistant" and isinstance(part, Image | File):
                        raise not_carried(part.place or turn.place, "A model's own turn holds no such thing.")
                    if not isinstance(part, Text) or part.text:
                        said.append(_content(part, turn.role))
                    continue
            if said:
                yield _message(turn.role, said)
                said = []
            if isinstance(part, ToolCall):
                yield self._call(part)
            elif isinstance(part, Thought) and part.maker == MAKER and part.seal:
                yield _thought(part)
        yield from others
        if said:
            yield _message(turn.role, said)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        id = self._ids.of_call(call.id)
        if call.takes_text:
            self._free.add(id)
            return {"type": "custom_tool_call", "call_id": id, "name": call.name, "input": call.arguments}
        return {"type": "function_call", "call_id": id, "name": call.name, "arguments": call.arguments or "{}"}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        id = self._ids.of_result(result.id)
        kind = "custom_tool_call_output" if id in self._free else "function_call_output"
        shown: str | list[dict[str, Any]]
        match result.parts:
            case () | (Text(),):
                shown = "".join(part.text for part in result.parts if isinstance(part, Text))
                if result.is_error and not shown.lower().startswith("error"):
                    shown = FAILED + shown
            case _:
                shown = [_content(part, "user") for part in result.parts if not isinstance(part, Text) or part.text]
                if result.is_error:
                    shown.insert(0, {"type": shapes.GIVEN_TEXT, "text": FAILED.strip()})
        return {"type": kind, "call_id": id, "output": shown}


def _message(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _content(part: Part, role: str) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": shapes.SAID_TEXT if role == "assistant" else shapes.GIVEN_TEXT, "text": text}
        case Refused(text=text):
            return {"type": "refusal", "refusal": text}
        case Image():
            url = address_of(part) if part.url else f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case File(url=url) if url:
            return {"type": "input_file", "file_url": address_of(part)}
        case File():
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_file", "filename": part.name or "document", "file_data": data}
    raise not_carried(getattr(part, "place", ""), "It has no place in this turn.")


def _thought(part: Thought) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": part.seal}


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"name": tool.name, **({"description": tool.description} if tool.description else {})}
    if tool.takes_text:
        form = {"format": {"type": "grammar", **orjson.loads(tool.grammar)}} if tool.grammar else {}
        return {"type": "custom", **about, **form}
    # Where nothing is said of it this protocol is strict, and the others are not.
    return {"type": "function", **about, "parameters": fragment(tool.schema or ANY_SCHEMA), "strict": bool(tool.strict)}


def _choice(choice: Choice, tools: tuple[Tool, ...]) -> str | dict[str, Any]:
    if choice.mode != "named":
        return choice.mode
    takes_text = any(tool.takes_text for tool in tools if tool.name == choice.name)
    return {"type": "custom" if takes_text else "function", "name": choice.name}


def _reasoning(asked: Reasoning | None, habits: Habits) -> dict[str, Any]:
    if asked is None:
        return {}
    effort = effort_of(asked)
    said: dict[str, Any] = {"effort": effort} if effort and EFFORT not in habits.refused else {}
    is_wanted = asked.is_shown is not False and asked.is_on is not False and effort != "none"
    if is_wanted and SUMMARY not in habits.refused:
        said["summary"] = "auto"
    return said


def _structure(asked: Structure) -> dict[str, Any]:
    if not asked.schema:
        return {"type": "json_object"}
    said: dict[str, Any] = {"type": "json_schema", "name": asked.name or "answer", "schema": fragment(asked.schema)}
    if asked.description:
        said["description"] = asked.description
    return {**said, "strict": True if asked.strict is None else asked.strict}
