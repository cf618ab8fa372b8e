"""A request to Responses as a caller sends it: read, and checked to be one that can be held, forwarded and priced.

https://platform.openai.com/docs/api-reference/responses/create . What nothing here reads goes upstream as it came.
"""

import re

from proxy.kept.jobs import MOST_SECONDS
from proxy.prices.versions import COMPLETION_WINDOW, NONE, terms_of
from proxy.protocols import headers
from proxy.protocols.base import LONGEST_ID, MOST_OUTPUT_TOKENS, BadRequest
from proxy.protocols.endpoint import Asked
from proxy.protocols.members import first, joined
from proxy.protocols.openai.asking import fields_of, flag_of, model_of
from proxy.protocols.openai.chat.asked.careful import tier_of
from proxy.protocols.openai.responses.asked.call import Offered, ResponsesCall
from proxy.protocols.openai.responses.asked.content import COMPACTION, Content, material_of
from proxy.protocols.openai.responses.asked.fields import CALLS, GIVEN, LIMIT, OURS, READ, TOOLED, refuse_fields
from proxy.protocols.openai.responses.asked.tools import read_tools
from proxy.protocols.reading import Fields

HEADERS = frozenset({b"openai-beta", b"session-id", b"thread-id", b"originator", b"x-client-request-id"})
FAMILIES = (b"x-codex-", b"x-openai-internal-codex-")
MOST_CALLS = 1_000_000
WINDOW, SOONEST = "completion_window", "soonest"
HOURS = re.compile(r"([1-9][0-9]?)h")


def read(asked: Asked) -> ResponsesCall:
    """Raise `BadRequest` unless it can be held, forwarded and priced."""
    raw = asked.body
    body = fields_of(raw, READ)
    refuse_fields(body)
    tier = tier_of(body)
    previous = _previous(body)
    if not previous and body.get("input") is None:
        raise BadRequest("`input` is required: a text, or a list of items.", param="input")
    content = Content(is_ascii=raw.isascii())
    content.input(body)
    if not previous and not content.is_any:
        raise BadRequest("`input` must be a text or a list of at least one item.", param="input")
    offered, has_tools, more, is_within = read_tools(body, content.tools)
    choice = body.get("tool_choice")
    if choice is not None and first(choice) not in (b'"', b"{"):
        raise BadRequest("`tool_choice` must be a text or an object.", param="tool_choice")
    in_background, stores = flag_of(body, "background"), body.get("store") is None or flag_of(body, "store")
    if in_background and not stores:
        raise BadRequest("`background` needs `store`: the answer is fetched later.", param="store")
    window, seconds = window_of(body)
    terms = {**terms_of(tier), **({COMPLETION_WINDOW: window} if in_background and window else {})}
    calls = body.whole(CALLS, least=0, most=MOST_CALLS)
    return ResponsesCall(
        model=model_of(body),
        stream=flag_of(body, "stream"),
        output_limit=body.whole(LIMIT, least=1, most=MOST_OUTPUT_TOKENS),
        material=material_of(raw, content, tools=has_tools, more=more),
        units=tuple(sorted(content.units)),
        rest=joined(body.members, without=_ours(offered, is_within=is_within)),
        service_tier=tier,
        asked=terms or None,
        headers=headers.chosen(asked.headers, HEADERS, prefixes=FAMILIES),
        stores=stores,
        previous=previous,
        references=(*([previous] if previous else ()), *content.references),
        unsaid=tuple(content.unsaid),
        background=in_background,
        background_seconds=seconds if in_background else None,
        compacts=_compacts(body) or COMPACTION in content.kinds,
        items=frozenset(content.kinds),
        offered=offered,
        tools=_raw(body, "tools") if offered else b"",
        tool_choice=_raw(body, "tool_choice") if offered else b"",
        input=_raw(body, "input") if is_within else b"",
        max_tool_calls=calls if offered else None,
    )


def _ours(offered: tuple[Offered, ...], *, is_within: bool) -> frozenset[str]:
    """What is written anew."""
    return OURS | (TOOLED if offered else NONE) | (GIVEN if is_within else NONE)


def _previous(body: Fields) -> str:
    previous = body.value("previous_response_id", most=LONGEST_ID)
    if previous is not None and (not isinstance(previous, str) or not previous):
        raise BadRequest("`previous_response_id` must be the id of a response.", param="previous_response_id")
    return previous or ""


def window_of(body: Fields) -> tuple[str, int]:
    """The window in which an answer in the background is to be complete, "" for the usual one, and the seconds after
    which it is given up: a day, or an hour after the window.
    """
    held = body.inside("background_options", known=frozenset({WINDOW}))
    said = None if held is None else held.value(WINDOW)
    if said in (None, SOONEST):
        return "", MOST_SECONDS
    if not isinstance(said, str) or (found := HOURS.fullmatch(said)) is None:
        place = f"background_options.{WINDOW}"
        raise BadRequest(f"`{place}` must be {SOONEST}, or hours as in 8h.", param=place)
    return said, (int(found[1]) + 1) * 3600


def _compacts(body: Fields) -> bool:
    """Whether its context may be summed up on the way."""
    raw = body.get("context_management")
    if raw is not None and first(raw) != b"[":
        raise BadRequest("`context_management` must be a list.", param="context_management")
    return bool(body.items("context_management"))


def _raw(body: Fields, name: str) -> bytes:
    found = body.get(name)
    return b"" if found is None else bytes(found)
