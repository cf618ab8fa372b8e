"""The tools of a request to Messages: those that run with the caller, and those that run at the provider.

The latter run the model again within one request, and are served where the model's price has their unit and the
catalog lets it call tools; else they are taken out where they are only offered.
"""

import re
from dataclasses import replace

import msgspec

from proxy.prices.catalog import Entry
from proxy.prices.units import CODE_SESSION, WEB_SEARCH
from proxy.protocols.anthropic.messages.asked.call import MessagesCall, ServerTool
from proxy.protocols.base import BadRequest, refuse_many
from proxy.protocols.members import joined
from proxy.protocols.reading import Fields

TOOL = frozenset({"type", "name", "max_uses", "defer_loading"})
CHOICE = frozenset({"type", "name"})
CUSTOM = "custom"
FREE = "free"
"""In the place of a unit: what costs nothing but the input that it brings."""
CALLERS = re.compile(r"(?:bash|text_editor|computer|memory|computer_toolset|browser_toolset)_\d{8}")
"""What the provider has words for, and the caller runs."""
CALLERS_BYTES = 4_096
"""Bytes for those words, each: Anthropic says 245 tokens for bash, 700 for the editor, 1,250 for the computer."""
PROVIDERS = re.compile(
    rf"(?P<{WEB_SEARCH}>web_search)_\d{{8}}|(?P<{CODE_SESSION}>code_execution)_\d{{8}}|(?P<{FREE}>web_fetch)_\d{{8}}"
    r"|(?:tool_search_tool(?:_\w{1,40})?|advisor)_\d{8}|tool_search_tool_\w{1,40}|mcp_toolset",
    re.ASCII,
)
MOST_USES = 1_000_000


def read_tools(body: Fields) -> tuple[tuple[bytes | ServerTool, ...], bool, int]:
    """All of them where some run at the provider, whether there are any, and the bytes that the provider adds.

    Raises `BadRequest` for a kind that nobody knows.
    """
    found: list[bytes | ServerTool] = []
    more, defers = 0, False
    for index, raw in enumerate(body.items("tools")):
        tool = Fields(raw, known=TOOL, place=f"tools[{index}]")
        kind = _kind(tool)
        defers = defers or tool.value("defer_loading") is True
        more += CALLERS_BYTES if kind != CUSTOM else 0
        match = PROVIDERS.fullmatch(kind)
        found.append(bytes(raw) if match is None else _server_tool(tool, kind, match.lastgroup or ""))
    searched = [tool for tool in found if isinstance(tool, ServerTool) and tool.kind.startswith("tool_search")]
    if searched and defers:
        words = f"{searched[0].kind} is not on offer here, and without it deferred tools are never seen."
        raise BadRequest(words, param="tools")
    at_provider = any(isinstance(tool, ServerTool) for tool in found)
    return tuple(found) if at_provider else (), bool(found), more


def check_definition(raw: msgspec.Raw, *, place: str) -> None:
    """Raise `BadRequest` unless it is a tool that runs with the caller."""
    tool = Fields(raw, known=TOOL, place=place)
    if PROVIDERS.fullmatch(_kind(tool)):
        raise BadRequest(f"`{place}` may not run at the provider here.", param=place)


def with_tools(call: MessagesCall, entry: Entry, *, serves: bool) -> MessagesCall:
    """The request with those tools that this model has here, each under its cap, and without the others.

    `serves` is false where no upstream of it speaks this protocol, which has no words for such tools then.
    Raises `BadRequest` where one that is not served is more than offered.
    """
    if not call.tools:
        return call
    kept: list[bytes] = []
    units, removed, names = set[str](), dict[str, None](), set[str]()
    for tool in call.tools:
        if not isinstance(tool, ServerTool):
            kept.append(tool)
        elif serves and entry.max_tool_calls and _is_sold(tool, call, entry):
            if tool.unit in units:
                raise BadRequest(f"`tools` may name one {tool.name or tool.kind} here.", param="tools")
            units.add(tool.unit)
            kept.append(_capped(tool, entry.max_tool_calls))
        else:
            removed[tool.kind] = None
            refuse_many(removed)
            names.add(tool.name)
    if removed:
        _refuse_forced(call, next(iter(removed)), names, is_any_left=bool(kept))
    members = [b'"tools":[%b]' % b",".join(kept)] if kept else []
    if kept and call.tool_choice:
        members.append(b'"tool_choice":' + call.tool_choice)
    return replace(
        call,
        rest=b",".join([call.rest, *members]) if call.rest else b",".join(members),
        units=tuple(sorted(units - {FREE})),
        fetches=FREE in units,
        removed=tuple(removed),
        tools=(),
    )


def _refuse_forced(call: MessagesCall, kind: str, names: set[str], *, is_any_left: bool) -> None:
    if call.continues:
        words = f"{kind} is not on offer here, and its results stand in the messages."
        raise BadRequest(words, param="tools")
    if not call.tool_choice:
        return
    choice = Fields(call.tool_choice, known=CHOICE, place="tool_choice")
    way = choice.value("type")
    if (way == "tool" and choice.value("name") in names) or (way not in ("auto", "none") and not is_any_left):
        raise BadRequest(f"`tool_choice` asks for {kind}, which is not on offer here.", param="tool_choice")


def _kind(tool: Fields) -> str:
    """Its type, `custom` where it has none; raises `BadRequest` for one that nobody knows."""
    kind = tool.value("type")
    if kind is None or kind == CUSTOM:
        return CUSTOM
    if isinstance(kind, str) and (CALLERS.fullmatch(kind) or PROVIDERS.fullmatch(kind)):
        return kind
    raise BadRequest(f"`{tool.place}.type` is none that is known here.", param=f"{tool.place}.type")


def _server_tool(tool: Fields, kind: str, unit: str) -> ServerTool:
    """`unit` is the name of the group of `PROVIDERS` that it matched."""
    name = tool.value("name")
    return ServerTool(
        kind=kind,
        name=name if isinstance(name, str) else "",
        unit=unit,
        max_uses=tool.whole("max_uses", least=1, most=MOST_USES),
        rest=joined(tool.members, without=frozenset({"max_uses"})),
    )


def _is_sold(tool: ServerTool, call: MessagesCall, entry: Entry) -> bool:
    return tool.unit == FREE or (tool.unit != "" and entry.price.sells(tool.unit, call.terms))


def _capped(tool: ServerTool, most: int) -> bytes:
    """Under a cap, where its kind has one."""
    if tool.unit == CODE_SESSION:
        return b"{%b}" % tool.rest
    return b'{%b,"max_uses":%d}' % (tool.rest, min(most, tool.max_uses or most))
