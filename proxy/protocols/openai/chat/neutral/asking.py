"""The form as a chat completion, for an upstream that speaks it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.protocols.base import Habits
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.pointing import address_of
from proxy.protocols.translate.decoding import not_carried
from proxy.protocols.translate.form import (
    File,
    Form,
    Image,
    Part,
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
from proxy.protocols.translate.free import as_functions, free_in
from proxy.protocols.translate.ids import Ids
from proxy.protocols.translate.raw import fragment
from proxy.protocols.translate.side import Written

EFFORT, THOUGHTS, PARALLEL = "reasoning_effort", "reasoning_content", "parallel_tool_calls"
OPTIONAL = (EFFORT, THOUGHTS, PARALLEL)
"""What some upstreams of this protocol do not take, and what the request can do without."""
ANY_ID = re.compile(r"[\x21-\x7e]{1,64}")
MISTRALS = re.compile(r"(?:^|/)(?:open-)?(?:mi[nsx]tral|ministral|codestral|pixtral|devstral|magistral)")
MISTRALS_ID, MISTRALS_CHARACTERS = re.compile(r"[A-Za-z0-9]{9}"), 9
"""Mistral's own API takes no other ids."""
OPENAIS = frozenset({Kind.OPENAI, Kind.AZURE})
"""They know tools with free text and keys for a cache; they refuse what they do not know, and take no thoughts back."""
FAILED = "Error: "
"""Before the words of a result that is an error, for which a chat has no word."""


def write(form: Form, destination: Destination, *, habits: Habits) -> Written:
    """Raises `Untranslatable` for what a chat completion has no words for."""
    if destination.kind not in OPENAIS:
        form = as_functions(form)
    writer = _Writer(form, destination, habits)
    body: dict[str, Any] = {"messages": writer.messages()}
    if form.tools:
        body["tools"] = [_tool(tool) for tool in form.tools]
        if form.choice is not None:
            body["tool_choice"] = _choice(form)
        if form.parallel is not None and PARALLEL not in habits.refused:
            body[PARALLEL] = form.parallel
    if form.reasoning is not None and EFFORT not in habits.refused and (effort := effort_of(form.reasoning)):
        body[EFFORT] = effort
    if form.structure is not None:
        body["response_format"] = _structure(form.structure)
    if form.stops:
        body["stop"] = list(form.stops)
    usual = {"temperature": form.temperature, "top_p": form.top_p}
    body |= {name: value for name, value in usual.items() if value not in (None, 1)}
    if form.cache_key and destination.kind in OPENAIS:
        body["prompt_cache_key"] = form.cache_key
    if form.stream:
        body["stream"] = True
    ignored = [*form.hints, *(["cache_control"] if form.is_marked else [])]
    if form.cache_key and destination.kind not in OPENAIS:
        ignored.append(form.fields.cache_key)
    if EFFORT in habits.refused and form.reasoning is not None and effort_of(form.reasoning):
        ignored.append(form.fields.effort)
    if PARALLEL in habits.refused and form.tools and form.parallel is not None:
        ignored.append(form.fields.parallel)
    call = ChatCall(stream=form.stream, rest=orjson.dumps(body)[1:-1], service_tier=form.tier)
    return Written(call, tuple(dict.fromkeys(ignored)))


class _Writer:
    """Writes the turns."""

    def __init__(self, form: Form, destination: Destination, habits: Habits) -> None:
        self._form = form
        is_mistrals = MISTRALS.search(destination.upstream_model) is not None
        is_mistrals = is_mistrals and destination.kind in (Kind.OPENAI, Kind.LITELLM)
        self._ids = Ids(MISTRALS_ID, most=MISTRALS_CHARACTERS) if is_mistrals else Ids(ANY_ID)
        self._takes_thoughts = destination.kind not in OPENAIS and THOUGHTS not in habits.refused

    def messages(self) -> list[dict[str, Any]]:
        turns = self._form.turns
        if turns and turns[-1].role == "assistant":
            raise not_carried(self._form.fields.turns, "The last message has to be the user's: there is no prefill.")
        found = [message for turn in turns for message in self._turn(turn)]
        if not found:
            raise not_carried(self._form.fields.turns, "They say nothing.")
        return found

    def _turn(self, turn: Turn) -> Iterator[dict[str, Any]]:
        if turn.role == "assistant":
            if message := self._answer(turn):
                yield message
            return
        pictures: list[dict[str, Any]] = []
        others: list[Part] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                yield self._result(part, pictures)
            else:
                others.append(part)
        content = [*pictures, *map(_content, _kept(others))]
        if content:
            yield {"role": turn.role, "content": _plain(content, is_text=turn.role != "user")}

    def _result(self, result: ToolResult, pictures: list[dict[str, Any]]) -> dict[str, Any]:
        """Its words; its pictures go with the user's next, as a result may hold none."""
        id = self._ids.of_result(result.id)
        words = [part.text for part in result.parts if isinstance(part, Text)]
        media = [part for part in result.parts if not isinstance(part, Text)]
        if media:
            pictures.append({"type": "text", "text": f"From the result of call {id}:"})
            pictures += map(_content, media)
            words.append("(What it shows follows in the next message.)")
        text = "\n".join(words)
        if result.is_error and not text.lower().startswith("error"):
            text = FAILED + text
        return {"role": "tool", "tool_call_id": id, "content": text}

    def _answer(self, turn: Turn) -> dict[str, Any]:
        """What was said, in one text, then the calls; nothing where it only thought."""
        texts, thoughts, calls = list[str](), list[str](), list[dict[str, Any]]()
        for part in turn.parts:
            match part:
                case Text(text=text) | Refused(text=text):
                    texts.append(text)
                case Thought(maker=""):
                    thoughts.append(part.text)
                case Thought():
                    pass  # sealed for its maker alone
                case ToolCall():
                    calls.append(self._call(part))
                case Image() | File() | ToolResult():
                    raise not_carried(part.place or turn.place, "A model's own turn holds no such thing.")
        text = "".join(texts)
        if not text and not calls:
            return {}
        message: dict[str, Any] = {"role": "assistant", "content": text or None}
        if thoughts and self._takes_thoughts:
            message[THOUGHTS] = "\n\n".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        return message

    def _call(self, call: ToolCall) -> dict[str, Any]:
        id = self._ids.of_call(call.id)
        if call.takes_text:
            return {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        said = {"name": call.name, "arguments": call.arguments or "{}"}
        return {"id": id, "type": "function", "function": said}


def _kept(parts: Sequence[Part]) -> list[Part]:
    """Without texts that say nothing, unless that is all there is."""
    kept = [part for part in parts if not isinstance(part, Text) or part.text]
    return kept or list(parts[:1])


def _plain(content: list[dict[str, Any]], *, is_text: bool) -> str | list[dict[str, Any]]:
    """One text where it is one: many servers take no list, of the system's words least of all."""
    if is_text:
        return "\n\n".join([part["text"] for part in content])
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content


def _content(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            address = {"url": address_of(part) if part.url else f"data:{part.media_type};base64,{part.data}"}
            if part.detail:
                address["detail"] = part.detail
            return {"type": "image_url", "image_url": address}
        case File(url=url) if url:
            raise not_carried(part.place, "Send the document's data: it is taken from no address.")
        case File():
            named = {"filename": part.name or "document"}
            return {"type": "file", "file": {**named, "file_data": f"data:{part.media_type};base64,{part.data}"}}
    raise not_carried(getattr(part, "place", ""), "It has no place in this turn.")


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"name": tool.name, **({"description": tool.description} if tool.description else {})}
    if tool.takes_text:
        form = {"format": {"type": "grammar", "grammar": fragment(tool.grammar)}} if tool.grammar else {}
        return {"type": "custom", "custom": {**about, **form}}
    said: dict[str, Any] = {**about}
    if tool.schema:
        said["parameters"] = fragment(tool.schema)
    if tool.strict:
        said["strict"] = True
    return {"type": "function", "function": said}


def _choice(form: Form) -> str | dict[str, Any] | None:
    choice = form.choice
    if choice is None or choice.mode != "named":
        return None if choice is None else choice.mode
    kind = "custom" if choice.name in free_in(form) else "function"
    return {"type": kind, kind: {"name": choice.name}}


def _structure(asked: Structure) -> dict[str, Any]:
    if not asked.schema:
        return {"type": "json_object"}
    said: dict[str, Any] = {"name": asked.name or "answer", "schema": fragment(asked.schema)}
    if asked.description:
        said["description"] = asked.description
    said["strict"] = True if asked.strict is None else asked.strict
    return {"type": "json_schema", "json_schema": said}
