"""A request to Messages as a caller sends it: read, and checked to be one that can be held, forwarded and priced."""

from collections.abc import Mapping
from dataclasses import replace

from proxy.prices.units import LONG_WRITES, WRITES
from proxy.prices.versions import NONE, PriceVersion, terms_of
from proxy.protocols import headers
from proxy.protocols.anthropic.messages.asked.call import MessagesCall
from proxy.protocols.anthropic.messages.asked.content import ESCAPED_LETTER, Content, material_of
from proxy.protocols.anthropic.messages.asked.fields import DEFAULTS, LONGEST_TERM, OURS, READ, refuse_fields
from proxy.protocols.anthropic.messages.asked.tools import read_tools
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.members import check_bytes, first, joined
from proxy.protocols.reading import Fields
from proxy.protocols.structure import NotJson

HEADERS = frozenset({b"anthropic-version", b"anthropic-beta", b"x-client-request-id"})
SESSION_HEADERS = (b"x-claude-code-session-id", *headers.SESSION_HEADERS)
BETA = b"beta=true"
"""The query that the SDKs' beta namespace sends."""
INTERLEAVED = "interleaved-thinking-"
LONGEST_MODEL = 10_000
LONGEST_TIER = 20
WITH_TOOLS = OURS | {"tools", "tool_choice"}
THINKING = frozenset({"type", "budget_tokens"})
MANAGEMENT = frozenset({"edits"})
EDIT = frozenset({"type"})


def read(asked: Asked, *, is_counted: bool = False) -> MessagesCall:
    """Raise `BadRequest` unless it can be held, forwarded and priced; `is_counted` where only its tokens are asked."""
    raw = asked.body
    try:
        check_bytes(raw)
    except NotJson as error:
        raise BadRequest(f"The body is not JSON that can be read: {error}.") from None
    body = Fields(raw, known=READ, place="")
    refuse_fields(body.members)
    model = body.value("model", most=6 * LONGEST_MODEL)
    if not isinstance(model, str) or not model or len(model) > LONGEST_MODEL:
        raise BadRequest("`model` must be a model id such as anthropic/claude-sonnet-4-6.", param="model")
    stream = body.value("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("`stream` must be true or false.", param="stream")
    limit = body.whole("max_tokens", least=1, most=MOST_OUTPUT_TOKENS)
    if limit is None and not is_counted:
        raise BadRequest("`max_tokens` is required: how many tokens the answer may have at most.", param="max_tokens")
    sent = headers.chosen(asked.headers, HEADERS)
    tier = _tier(body)
    content = Content()
    content.blocks(body, "system")
    content.messages(body)
    tools, has_tools, more = read_tools(body)
    choice = body.get("tool_choice")
    if tools and choice is not None and first(choice) != b"{":
        raise BadRequest("`tool_choice` must be an object.", param="tool_choice")
    return MessagesCall(
        model=model,
        stream=bool(stream),
        output_limit=limit,
        material=material_of(raw, content, tools=has_tools, more=more),
        rest=joined(body.members, without=WITH_TOOLS if tools else OURS),
        service_tier=tier,
        asked=terms_of(tier) or None,
        headers=sent,
        fast=_named(body),
        query="?beta=true" if asked.query == BETA else "",
        extra_output=_extra_thinking(body, limit, sent),
        unwritten=_unwritten(raw),
        compacts=_compacts(body),
        tools=tools,
        tool_choice=bytes(choice) if tools and choice is not None else b"",
        continues=content.continues,
    )


def betas_of(sent: Mapping[str, str]) -> list[str]:
    """The names of `anthropic-beta`."""
    return [name.strip() for name in sent.get("anthropic-beta", "").split(",") if name.strip()]


def _unwritten(raw: bytes) -> frozenset[str]:
    """By the marks' names: one inside of a text has its quotes escaped, and a letter that is escaped may hide one."""
    if ESCAPED_LETTER.search(raw):
        return NONE
    if b'"cache_control"' not in raw:
        return WRITES
    return NONE if b'"ttl"' in raw else LONG_WRITES


def _named(body: Fields) -> Mapping[str, str]:
    """Of `speed` and `inference_geo` what it names; whether that is on offer the model's price tells."""
    found = {}
    for name, usual in DEFAULTS.items():
        if (said := body.value(name)) is not None:
            if not (isinstance(said, str) and 0 < len(said) <= LONGEST_TERM and said.isidentifier()):
                raise BadRequest(f"`{name}` may be {usual} here.", param=name)
            found[name] = said
    return found


def with_terms(call: MessagesCall, price: PriceVersion) -> MessagesCall:
    """The request with what its price goes by; raises `BadRequest` for what it has no rates for."""
    for name, said in call.fast.items():
        if said != DEFAULTS[name] and not price.varies_by({name: said}):
            raise BadRequest(f"`{name}` may be {DEFAULTS[name]} here.", param=name)
    if not price.variants or not any(map(price.goes_by, DEFAULTS)):
        return call
    asked = {"speed": DEFAULTS["speed"], **call.fast}
    return replace(call, asked={**call.terms, **asked}, varies=True)


def _tier(body: Fields) -> str | None:
    """The service tier asked for; whether it is on offer the model's price tells."""
    tier = body.value("service_tier")
    if tier is not None and not (isinstance(tier, str) and 0 < len(tier) <= LONGEST_TIER and tier.isidentifier()):
        raise BadRequest("`service_tier` may be auto or standard_only here.", param="service_tier")
    return tier


def _extra_thinking(body: Fields, limit: int | None, sent: Mapping[str, str]) -> int:
    """Tokens of thinking beyond `max_tokens`, which only thinking between calls of tools may have."""
    raw = body.get("thinking")
    if raw is None or limit is None:
        return 0
    if first(raw) != b"{":
        raise BadRequest("`thinking` must be an object.", param="thinking")
    thinking = Fields(raw, known=THINKING, place="thinking")
    budget = thinking.whole("budget_tokens", least=0, most=MOST_OUTPUT_TOKENS) or 0
    if budget < limit:
        return 0
    if not any(name.startswith(INTERLEAVED) for name in betas_of(sent)):
        words = "`thinking.budget_tokens` must be less than `max_tokens`."
        raise BadRequest(words, param="thinking.budget_tokens")
    return budget


def _compacts(body: Fields) -> bool:
    """Whether the context may be summed up within this request: a turn of its own, billed beside the answer."""
    if body.get("compaction") is not None:
        return True
    raw = body.get("context_management")
    if raw is None:
        return False
    if first(raw) != b"{":
        raise BadRequest("`context_management` must be an object.", param="context_management")
    management = Fields(raw, known=MANAGEMENT, place="context_management")
    kinds = [
        Fields(edit, known=EDIT, place=f"context_management.edits[{index}]").value("type")
        for index, edit in enumerate(management.items("edits"))
    ]
    return not all(isinstance(kind, str) and kind.startswith("clear_") for kind in kinds)
