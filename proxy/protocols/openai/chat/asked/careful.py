"""A chat completion as a caller asks for it: read, and checked to be one that can be held, forwarded and priced.

https://platform.openai.com/docs/api-reference/chat . Members that nothing here reads are never parsed: they go upstream
as they came. `request` reads what is plainly in order faster, and to the same end.
"""

import re

import msgspec

from proxy.prices.units import OUTPUT_AUDIO, OUTPUT_IMAGE, WEB_SEARCH
from proxy.prices.versions import terms_of
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, refuse_many
from proxy.protocols.members import first, joined
from proxy.protocols.openai.asking import fields_of, flag_of, model_of
from proxy.protocols.openai.chat.asked.call import ChatCall
from proxy.protocols.openai.chat.asked.fields import LIMITS, OURS, READ
from proxy.protocols.openai.chat.asked.media import read_material
from proxy.protocols.reading import Fields
from proxy.protocols.steering import is_steering, refuse_steering

MOST_CHOICES = 128
MODALITIES = {"text": "", "audio": OUTPUT_AUDIO, "image": OUTPUT_IMAGE}
"""What an answer may be, with the unit of what is sold apart."""
LONGEST_TIER = 20
# Tools that run with the caller. A provider's own, such as a web search, are billed by the call.
PRICED_TOOLS = frozenset({"function", "custom"})
PROVIDERS_TOOLS = re.compile(
    r"(?:openrouter:)?(?:web_search(?:_preview)?|web_fetch|web_browser|x_search|browser_(?:search|automation)|url_context"
    r"|google_(?:search(?:_retrieval)?|maps)|file_search|retrieval|code_(?:execution|interpreter)|image_generation|mcp)"
    r"(?:_\d{4,8}(?:_\d\d){0,2})?"
)
STORES = "vector_store_ids"
"""By which an account's files are searched."""
TOOL = frozenset({"type", STORES})
TIER = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
VOICE = frozenset({"voice", "format"})
NOTHING = frozenset[str]()
OPTIONS = frozenset({"include_usage"})


def read_carefully(raw: bytes) -> ChatCall:
    """Raise `BadRequest` unless the body is a chat completion that can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    model, stream = model_of(body), flag_of(body, "stream")
    choices = body.whole("n", least=1, most=MOST_CHOICES)
    limits = {name: body.whole(name, least=1, most=MOST_OUTPUT_TOKENS) for name in LIMITS}
    named = {name: limit for name, limit in limits.items() if limit is not None}
    asked_apart = _asked_apart(body)
    tier = tier_of(body)
    removed = _remove_offered_tools(body)
    refuse_steering(body.members, READ)
    refuse_steering_metadata(body)
    options, include_usage = stream_options_of(body)
    material, units = read_material(raw, body)
    return ChatCall(
        model=model,
        stream=stream,
        output_limit=max(named.values(), default=None),
        choices=choices or 1,
        material=material,
        units=tuple(sorted({*units, *asked_apart})),
        names_output=body.get("modalities") is not None,
        least={WEB_SEARCH: 1} if WEB_SEARCH in asked_apart else None,
        rest=joined(body.members, without=OURS),
        limit_fields=tuple(named),
        service_tier=tier,
        asked=terms_of(tier) or None,
        stream_options=options,
        include_usage=include_usage,
        removed=removed,
    )


def stream_options_of(body: Fields) -> tuple[bytes, bool]:
    """What the caller sets of the stream beside its usage, as raw members, and whether it asked for the usage."""
    raw = body.get("stream_options")
    if raw is None:
        return b"", False
    if first(raw) != b"{":
        raise BadRequest("`stream_options` must be an object.", param="stream_options")
    options = Fields(raw, known=OPTIONS, place="stream_options")
    asked = options.value("include_usage")
    if asked is not None and not isinstance(asked, bool):
        name = "stream_options.include_usage"
        raise BadRequest(f"`{name}` must be true or false.", param=name)
    return joined(options.members, without=OPTIONS), bool(asked)


def refuse_steering_metadata(body: Fields) -> None:
    """What is told to everybody is a text; an aggregator takes a list or an object by its own names for an order."""
    raw = body.get("metadata")
    if raw is not None and first(raw) == b"{":
        told = Fields(raw, known=NOTHING, place="metadata")
        for name, value in told.members.items():
            if is_steering(name, READ) and first(value) in (b"[", b"{"):
                raise BadRequest(f"`metadata.{name[:100]}` may be a text here.", param=f"metadata.{name[:100]}")


def tier_of(body: Fields) -> str | None:
    """The service tier asked for; whether it is on offer the model's price tells."""
    tier = body.value("service_tier")
    if tier is not None and not (isinstance(tier, str) and 0 < len(tier) <= LONGEST_TIER and TIER.fullmatch(tier)):
        raise BadRequest("`service_tier` may be auto, default or flex here.", param="service_tier")
    return tier


def _asked_apart(body: Fields) -> set[str]:
    """What is asked for and sold apart, beside what the messages bring: a price must name each."""
    if body.get("search_parameters") is not None:
        raise BadRequest("`search_parameters` is not on offer here.", param="search_parameters")
    units = set[str]()
    if (options := body.get("web_search_options")) is not None:
        if first(options) != b"{":
            raise BadRequest("`web_search_options` must be an object.", param="web_search_options")
        units.add(WEB_SEARCH)
    modalities = body.value("modalities")
    if modalities is not None:
        is_list = isinstance(modalities, list) and all(isinstance(name, str) for name in modalities)
        if not is_list or not modalities or not MODALITIES.keys() >= set(modalities):
            words = f"`modalities` may be a list of {', '.join(MODALITIES)} here."
            raise BadRequest(words, param="modalities")
        units |= {unit for name in modalities if (unit := MODALITIES[name])}
    if (sound := body.get("audio")) is not None:
        voice = Fields(sound, known=VOICE, place="audio")
        for name in VOICE:
            if (said := voice.value(name)) is not None and not isinstance(said, str):
                raise BadRequest(f"`audio.{name}` must be a text.", param=f"audio.{name}")
        units.add(OUTPUT_AUDIO)
    return units


def _remove_offered_tools(body: Fields) -> tuple[str, ...]:
    """Take out of `tools` what would run at the provider and is only offered, as agents do in every request; return
    the kinds. Raises `BadRequest` for one that has to be called, and for one that nobody knows."""
    kept: list[msgspec.Raw] = []
    removed: dict[str, None] = {}
    for index, raw in enumerate(body.items("tools")):
        tool = Fields(raw, known=TOOL, place=f"tools[{index}]")
        kind = tool.value("type")
        if STORES in tool.members:
            place = f"tools[{index}].{STORES}"
            raise BadRequest(f"`{place}` is not on offer here.", param=place)
        if isinstance(kind, str) and kind in PRICED_TOOLS:
            kept.append(raw)
        elif isinstance(kind, str) and PROVIDERS_TOOLS.fullmatch(kind):
            removed[kind] = None
            refuse_many(removed)
        else:
            raise BadRequest("`tools` may be of the types function and custom here.", param="tools")
    if not removed:
        return ()
    choice = bytes(body.get("tool_choice") or b'"auto"')
    is_free = choice in (b'"auto"', b'"none"')
    if not is_free and (not kept or any(b'"%b"' % kind.encode() in choice for kind in removed)):
        raise BadRequest(
            f"`tool_choice` asks for {next(iter(removed))}, which is not on offer here.", param="tool_choice"
        )
    if kept:
        body.members["tools"] = msgspec.Raw(b"[%b]" % b",".join(map(bytes, kept)))
    else:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            body.members.pop(name, None)
    return tuple(removed)
