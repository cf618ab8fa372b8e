"""The tools of a request to generate: functions, which run with the caller, and those that run at the provider.

The latter run the model again within one request, and are served where the model's price has their unit and the
catalog lets it call tools; else they are taken out, as they are never more than offered. What an account keeps
(`fileSearch`, `retrieval`) is refused by name. https://ai.google.dev/gemini-api/docs/tools
"""

from dataclasses import replace

import msgspec

from proxy.prices.catalog import Entry
from proxy.prices.units import CODE_SESSION, WEB_SEARCH
from proxy.protocols.base import BadRequest
from proxy.protocols.gemini.generate.asked.call import GenerateCall, Tool
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import first

CALLERS = frozenset({"functionDeclarations", "computerUse"})
CALLERS_BYTES = 8_192
"""Bytes for the words by which a provider explains a computer to its model."""
FREE = "free"
"""In the place of a unit: what costs nothing but the input that it brings."""
PROVIDERS = {
    "googleSearch": WEB_SEARCH,
    "googleSearchRetrieval": WEB_SEARCH,
    "enterpriseWebSearch": WEB_SEARCH,
    "codeExecution": CODE_SESSION,
    "urlContext": FREE,
    "googleMaps": "",
}
"""By name, the unit that each is sold by, "" where it is on offer nowhere."""
KNOWN = frozenset({*CALLERS, *PROVIDERS})


def read_tools(body: Spelled) -> tuple[tuple[tuple[Tool, ...], ...], bool, int]:
    """All of them where some run at the provider, whether there are any, and the bytes that the provider adds.

    Raises `BadRequest` for a kind that nobody knows.
    """
    found: list[tuple[Tool, ...]] = []
    more, has_any = 0, False
    for item in body.listed("tools", known=KNOWN):
        for name in item.unknown:
            if first(item.members[name]) != b"n":
                place = f"{item.place}.{name[:100]}"
                raise BadRequest(f"`{place}` is not on offer here.", param=place)
        named = [Tool(name, PROVIDERS.get(name, ""), name in CALLERS, raw) for name, raw in _present(item)]
        has_any = has_any or bool(named)
        more += CALLERS_BYTES * any(tool.name == "computerUse" for tool in named)
        found.append(tuple(named))
    at_provider = any(not tool.runs_here for item in found for tool in item)
    return tuple(found) if at_provider else (), has_any, more


def with_tools(call: GenerateCall, entry: Entry) -> GenerateCall:
    """The request with those tools that this model has here and without the others.

    Raises `BadRequest` where what one that is not served found stands in the contents.
    """
    if not call.tools:
        return call
    kept: list[bytes] = []
    units, removed = set[str](), list[str]()
    for item in call.tools:
        members = []
        for tool in item:
            is_sold = tool.unit == FREE or (tool.unit and entry.price.sells(tool.unit, call.terms))
            is_sold = is_sold and entry.max_tool_calls > 0
            if tool.runs_here or is_sold:
                members.append(b'"%b":%b' % (tool.name.encode(), bytes(tool.raw)))
                units |= {tool.unit} if tool.unit else set()
            else:
                removed.append(tool.name)
        if members:
            kept.append(b"{%b}" % b",".join(members))
    if removed and call.continues:
        words = f"{removed[0]} is not on offer here, and its results stand in the contents."
        raise BadRequest(words, param="tools")
    members = [call.rest] if call.rest else []
    if kept:
        members.append(b'"tools":[%b]' % b",".join(kept))
    return replace(
        call,
        rest=b",".join(members),
        units=tuple(sorted({*call.units, *units} - {FREE})),
        fetches=FREE in units,
        removed=tuple(dict.fromkeys(removed)),
        tools=(),
    )


def _present(item: Spelled) -> list[tuple[str, msgspec.Raw]]:
    """The members of an item by the names that we know, in the caller's order."""
    order = {spelt: name for name, spelt in item.spelt.items()}
    return [(order[spelt], raw) for spelt, raw in item.members.items() if spelt in order and first(raw) != b"n"]
