"""A caller's request to Responses, read into the form that every protocol is written from."""

from collections.abc import Iterator, Sequence
from dataclasses import field

import msgspec
import orjson

from core.records import value
from proxy.protocols.members import first
from proxy.protocols.openai.responses.neutral import shapes
from proxy.protocols.openai.responses.neutral.names import Named, Names
from proxy.protocols.openai.responses.neutral.turns import TurnReader
from proxy.protocols.translate.decoding import decoded, not_carried
from proxy.protocols.translate.form import Choice, Fields, Form, Reasoning, Structure, Text, Tool, Turn, Untranslatable
from proxy.protocols.translate.raw import raw_of

FIELDS = Fields(turns="input", structure="text.format", effort="reasoning.effort")
TIERS = (None, "auto", "default")
GIVEN = "reasoning.encrypted_content"
"""What may be asked for beside the answer, and is there here without being asked for."""
LOGPROBS = "logprobs"
BREAKPOINT = b'"prompt_cache_breakpoint"'
INPUT = "input"
_body = msgspec.json.Decoder(shapes.Body)
_items: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_item: msgspec.json.Decoder[shapes.Item] = msgspec.json.Decoder(shapes.Item)
_easy = msgspec.json.Decoder(shapes.Easy)


@value
class NamedForm(Form):
    """`names` are those of its tools here, where others know them by other names."""

    names: Names = field(default_factory=Names)


def read(rest: bytes, *, stream: bool, tier: str | None) -> NamedForm:
    """Of the request's members; raises `Untranslatable` for what the form has no place for."""
    body = decoded(_body, b"{%b}" % rest)
    if tier not in TIERS:
        raise not_carried("service_tier")
    items = _items_of(body.input)
    offers = Offers()
    offers.add(body.tools or (), "tools")
    for index, item in enumerate(items):
        if isinstance(item, shapes.AdditionalTools):
            offers.add(item.tools, f"{INPUT}[{index}].tools")
    system = [Turn("system", (Text(body.instructions),), "instructions")] if body.instructions else []
    choice, tools = offers.choice(body.tool_choice)
    written = body.text or shapes.Written()
    return NamedForm(
        turns=(*system, *TurnReader(offers.names).turns(items, INPUT)),
        tools=tools,
        choice=choice,
        parallel=body.parallel_tool_calls if tools else None,
        reasoning=_reasoning(body.reasoning),
        structure=_structure(written.format),
        temperature=body.temperature,
        top_p=body.top_p,
        stream=stream,
        tier=tier,
        cache_key=body.prompt_cache_key or "",
        hints=tuple(_hints(body, rest)),
        fields=FIELDS,
        names=offers.names,
    )


def _hints(body: shapes.Body, rest: bytes) -> Iterator[str]:
    yield from [name for name in shapes.HINTS if getattr(body, name) is not None]
    if body.store:
        yield "store"
    if any(LOGPROBS in name for name in body.include or ()):
        raise not_carried("include")
    if any(name != GIVEN for name in body.include or ()):
        yield "include"
    if body.truncation not in (None, "disabled"):
        yield "truncation"
    if body.text is not None and body.text.verbosity is not None:
        yield "text.verbosity"
    if body.reasoning is not None and body.reasoning.context is not None:
        yield "reasoning.context"
    if BREAKPOINT in rest:
        yield "prompt_cache_breakpoint"


def _items_of(said: msgspec.Raw) -> list[shapes.AnyItem]:
    if not bytes(said):
        raise not_carried(INPUT, "It says nothing.")
    if first(said) == b'"':
        return [shapes.Easy(role="user", content=decoded(_text, said, within=INPUT))]
    items = decoded(_items, said, within=INPUT)
    return [_one(raw, f"{INPUT}[{index}]") for index, raw in enumerate(items)]


def _one(raw: msgspec.Raw, place: str) -> shapes.AnyItem:
    """A message may leave out that it is one."""
    try:
        return _item.decode(raw)
    except msgspec.ValidationError as error:
        if str(error) == "Object missing required field `type`":
            return decoded(_easy, raw, within=place)
    return decoded(_item, raw, within=place)


class Offers:
    """The tools that are offered; one that is offered again is the later one."""

    def __init__(self) -> None:
        self.names = Names()
        self._tools: dict[str, Tool] = {}

    def add(self, tools: Sequence[shapes.Offered], place: str) -> None:
        for index, tool in enumerate(tools):
            at = f"{place}[{index}]"
            if not isinstance(tool, shapes.Namespace):
                self._add(tool, at)
                continue
            about = tool.description or ""
            for number, inner in enumerate(tool.tools):
                self._add(inner, f"{at}.tools[{number}]", tool.name, about if number == 0 else "")

    def _add(
        self, tool: shapes.FunctionTool | shapes.CustomTool, place: str, namespace: str = "", about: str = ""
    ) -> None:
        """`about` all of its namespace is said with the first tool in it."""
        name = self.names.offer(Named(tool.name, namespace))
        description = "\n\n".join(words for words in (about, tool.description) if words)
        if isinstance(tool, shapes.CustomTool):
            self._tools[name] = Tool(name, description, takes_text=True, grammar=_grammar(tool.format), place=place)
        else:
            self._tools[name] = Tool(name, description, raw_of(tool.parameters), tool.strict, place=place)

    def choice(
        self, asked: str | shapes.NamedFunction | shapes.NamedCustom | shapes.Allowed | None
    ) -> tuple[Choice | None, tuple[Tool, ...]]:
        """With the tools that may be called by it."""
        tools = tuple(self._tools.values())
        match asked:
            case shapes.NamedFunction() | shapes.NamedCustom():
                return Choice("named", self._known(asked, "tool_choice")), tools
            case shapes.Allowed(mode=mode, tools=named):
                names = {self._known(one, f"tool_choice.tools[{at}]") for at, one in enumerate(named)}
                return Choice(mode), tuple(tool for tool in tools if tool.name in names)
            case "auto" | "none" | "required" as mode if tools:
                return Choice(mode), tools
        return None, tools

    def _known(self, named: shapes.NamedFunction | shapes.NamedCustom, place: str) -> str:
        name = self.names.chosen(named.namespace or "", named.name)
        if name not in self._tools:
            words = f"`{place}` names a tool that is not among `tools`."
            raise Untranslatable(words, param=place)
        return name


def _grammar(asked: shapes.AnyText | shapes.Grammar | None) -> bytes:
    if not isinstance(asked, shapes.Grammar):
        return b""
    return orjson.dumps({"syntax": asked.syntax, "definition": asked.definition})


def _reasoning(asked: shapes.Effort | None) -> Reasoning | None:
    effort = "" if asked is None else asked.effort or ""
    return Reasoning(effort, is_on=False if effort == "none" else None) if effort else None


def _structure(asked: shapes.AsText | shapes.AsAnyJson | shapes.AsJson | None) -> Structure | None:
    if isinstance(asked, shapes.AsJson):
        return Structure(raw_of(asked.schema), asked.name, asked.description or "", asked.strict)
    return Structure() if isinstance(asked, shapes.AsAnyJson) else None
