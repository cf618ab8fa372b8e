"""The tools of a request to Responses: those that run with the caller, and those that run at the provider.

They stand in `tools`, in a namespace there, and in items of the input. Those of the provider run the model again within
one request, and are served where the model's price has their unit and the catalog lets it call tools; else they are
taken out where they are only offered. A kind that we do not know goes on, unless its name says that it searches or
runs something. https://platform.openai.com/docs/guides/tools
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from proxy.prices.catalog import Entry
from proxy.prices.units import CODE_SESSION, FILE_SEARCH, WEB_SEARCH
from proxy.protocols.base import BadRequest, refuse_many
from proxy.protocols.members import first, joined, objects_of, size
from proxy.protocols.openai.responses.asked.call import Offered, ResponsesCall
from proxy.protocols.openai.responses.asked.content import ITEM, WITH_TOOLS
from proxy.protocols.openai.responses.asked.fields import CALLS
from proxy.protocols.reading import Fields

TOOL = frozenset({"type", "tools", "environment", "execution", "container", "vector_store_ids", "defer_loading"})
KIND = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
"""A kind is a word: it is told in a header and on the receipt."""
MOST_NESTED = 4
"""Namespaces within each other: each is read anew."""
NAMESPACE = "namespace"
CHOICE = frozenset({"type", "tools"})
PLAIN = frozenset({"function", "custom", NAMESPACE})
CALLERS = frozenset({"local_shell", "shell", "apply_patch", "computer", "computer_use_preview"})
"""What the provider has words for, and the caller runs."""
CALLERS_BYTES = 4_096
"""Bytes for those words, each."""
DAY = r"(?:_preview)?(?:_\d{4}_\d\d_\d\d)?"
SEARCH = re.compile(rf"web_search{DAY}")
PROVIDERS = re.compile(
    r"search|retrieval|grounding|fetch|brows|interpreter|execution|generation|programmatic|(?:^|_|:)(?:mcp|url|maps)(?:_|$)"
)
STEMS = {"programmatic_tool_calling": "program"}
"""How items of a tool are called, where not by its own name."""
FREE = (b'"auto"', b'"none"')


def read_tools(body: Fields, items: list[Fields]) -> tuple[tuple[Offered, ...], bool, int, bool]:
    """Those that run at the provider, whether there are any tools, the bytes that the provider adds, and whether such
    a tool stands in an item.

    `items` are those of the input that bring tools. Raises `BadRequest` where one could not work without another.
    """
    found: dict[tuple[str, str, str], Offered] = {}
    more, has_any, defers, is_within = 0, False, False, False
    for holder in (body, *items):
        for tool, kind in _all_tools(holder):
            has_any = True
            defers = defers or ("defer_loading" in tool.members and tool.value("defer_loading") is True)
            more += CALLERS_BYTES if kind in CALLERS else 0
            if (offered := _offered(tool, kind)) is not None:
                is_within = is_within or holder is not body
                found.setdefault((offered.kind, offered.unit, offered.stored), offered)
                refuse_many(found)
    if defers and (searching := next((one.kind for one in found.values() if one.kind == "tool_search"), "")):
        words = f"{searching} at the provider is not on offer here, and without it deferred tools are never seen."
        raise BadRequest(words, param="tools")
    return tuple(found.values()), has_any, more, is_within


def with_tools(call: ResponsesCall, entry: Entry, *, serves: bool) -> ResponsesCall:
    """The request with those tools that this model has here, under one cap, and without the others.

    `serves` is false where no upstream of it speaks this protocol, which has no words for such tools then.
    Raises `BadRequest` where one that is not served is more than offered.
    """
    if not call.offered:
        return call
    removed, units = set[str](), set[str]()
    for one in call.offered:
        if serves and one.unit and entry.max_tool_calls and entry.price.sells(one.unit, call.terms):
            if one.stored:
                words = f"`{one.stored}` of {one.kind} is not on offer here: it is kept by the provider's account."
                raise BadRequest(words, param=f"tools.{one.stored}")
            units.add(one.unit)
        else:
            removed.add(one.kind)
    tools, given, is_any_left = call.tools, call.input, True
    if removed:
        tools, given = _without(call.tools, removed, "tools"), _input_without(call.input, removed)
        within = call.items & WITH_TOOLS
        is_any_left = bool(tools or (within and not given)) or any(b'"%b"' % kind.encode() in given for kind in within)
        _refuse_forced(call, removed, is_any_left=is_any_left)
    members = [b'"input":' + given] if given else []
    if tools:
        members.append(b'"tools":' + tools)
    if call.tool_choice and is_any_left:
        members.append(b'"tool_choice":' + call.tool_choice)
    if units or call.max_tool_calls is not None:
        most = call.max_tool_calls
        cap = entry.max_tool_calls if most is None or units else most
        members.append(b'"%b":%d' % (CALLS.encode(), cap if most is None else min(cap, most)))
    return replace(
        call,
        rest=b",".join([*([call.rest] if call.rest else []), *members]),
        units=tuple(sorted({*call.units, *units})),
        removed=tuple(dict.fromkeys(one.kind for one in call.offered if one.kind in removed)),
        offered=(),
        tools=b"",
        input=b"",
    )


def _refuse_forced(call: ResponsesCall, removed: set[str], *, is_any_left: bool) -> None:
    stems = {_stem(kind): kind for kind in sorted(removed)}
    made = {STEMS.get(kind, stem): kind for stem, kind in stems.items()}
    begins = tuple(f"{item}_" for item in made)
    if did := next((one for one in call.items if one in made or one.startswith(begins)), ""):
        kind = next(kind for item, kind in made.items() if did == item or did.startswith(f"{item}_"))
        raise BadRequest(f"{kind} is not on offer here, and what it did stands in the input.", param="tools")
    choice = call.tool_choice
    if not choice or choice in FREE:
        return
    named = stems.keys() & {_stem(kind) for kind in _chosen(choice)}
    if named or not is_any_left:
        kind = stems[min(named or stems)]
        raise BadRequest(f"`tool_choice` asks for {kind}, which is not on offer here.", param="tool_choice")


def _stem(kind: str) -> str:
    return re.sub(rf"{DAY}$", "", kind)


def _chosen(raw: bytes) -> set[str]:
    """The types of tools that are asked for, of one or of several that are allowed."""
    if raw[:1] != b"{":
        return set()
    choice = Fields(raw, known=CHOICE, place="tool_choice")
    tools = [Fields(one, known=CHOICE, place="tool_choice.tools") for one in choice.items("tools")]
    return {str(one.value("type")) for one in (choice, *tools)}


def _all_tools(holder: Fields, *, depth: int = 0) -> Iterator[tuple[Fields, str]]:
    """The tools of its list, and of the namespaces there, each with its type."""
    if depth > MOST_NESTED:
        raise BadRequest(f"Namespaces may be nested {MOST_NESTED} deep.", param=holder.place)
    for index, raw in enumerate(holder.items("tools")):
        place = f"{holder.place}.tools[{index}]" if holder.place else f"tools[{index}]"
        tool = Fields(raw, known=TOOL, place=place)
        kind = _kind(tool)
        yield tool, kind
        if kind == NAMESPACE:
            yield from _all_tools(tool, depth=depth + 1)


def _kind(tool: Fields) -> str:
    kind = tool.value("type")
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise BadRequest(f"`{tool.place}.type` must be one word.", param=f"{tool.place}.type")
    return kind


def _offered(tool: Fields, kind: str) -> Offered | None:
    """None where it runs with the caller."""
    if kind in PLAIN:
        return None
    if SEARCH.fullmatch(kind):
        return Offered(kind, WEB_SEARCH)
    if kind == "file_search":
        return Offered(kind, FILE_SEARCH, "vector_store_ids")
    if kind == "code_interpreter":
        return Offered(kind, CODE_SESSION, "" if _is_own_container(tool) else "container")
    if kind == "shell":
        where = tool.inside("environment", known=frozenset({"type"}))
        return None if where is None or where.value("type") == "local" else Offered(kind)
    if kind == "tool_search" and tool.value("execution") == "client":
        return None
    return Offered(kind) if PROVIDERS.search(kind) else None


def _is_own_container(tool: Fields) -> bool:
    """Whether it is made for this request, with nothing of an account's in it."""
    raw = tool.get("container")
    if raw is None or first(raw) != b"{":
        return False
    container = tool.inside("container", known=frozenset({"type", "file_ids"}))
    return container is not None and container.value("type") == "auto" and container.get("file_ids") is None


def _without(raw: bytes, removed: set[str], place: str) -> bytes:
    """A list of tools without those of these kinds, also within namespaces; b"" where none is left."""
    kept = []
    for index, one in enumerate(objects_of(msgspec.Raw(raw)) if raw else ()):
        tool = Fields(one, known=TOOL, place=f"{place}[{index}]")
        kind = _kind(tool)
        if kind in removed and _offered(tool, kind) is not None:
            continue
        inner = tool.get("tools") if kind == NAMESPACE else None
        if inner is None or size(inner) <= 2:
            kept.append(bytes(one))
        elif left := _without(bytes(inner), removed, f"{tool.place}.tools"):
            kept.append(_exchanged(tool, left))
    return b"[%b]" % b",".join(kept) if kept else b""


def _input_without(raw: bytes, removed: set[str]) -> bytes:
    """The input without such tools, and without the items in which none is left."""
    if raw[:1] != b"[":
        return raw
    kept = []
    for index, one in enumerate(objects_of(msgspec.Raw(raw))):
        item = Fields(one, known=ITEM, place=f"input[{index}]")
        tools = item.get("tools") if item.value("type") in WITH_TOOLS else None
        if tools is None:
            kept.append(bytes(one))
        elif left := _without(bytes(tools), removed, f"{item.place}.tools"):
            kept.append(_exchanged(item, left))
    return b"[%b]" % b",".join(kept)


def _exchanged(holder: Fields, tools: bytes) -> bytes:
    rest = joined(holder.members, without=frozenset({"tools"}))
    return b'{%b%b"tools":%b}' % (rest, b"," if rest else b"", tools)
