"""The list of models as clients of other protocols read it, told apart by what they send."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from rest_framework.request import Request

from api.common.base import ApiError
from proxy.errors import Refusal
from proxy.models import Model, Protocol
from proxy.prices.catalog import Entry
from proxy.protocols.gemini.errors import error_of

DEFAULT_LIMIT, DEFAULT_PAGE, MOST = 20, 50, 1000
INSTRUCTIONS = (
    "You are a coding agent that works in a terminal, in the user's own folder. Do what is asked and no more: read what"
    " you need, change files with the tools at hand, run what checks the change, and fix what it shows. Keep to the"
    " style of the code around you. Never undo changes that are not yours. Say at the end, in a few words, what you"
    " did, and what you could not do."
)
"""For Codex, of a model that it does not know."""
UNKNOWN_DAY = "1970-01-01T00:00:00Z"
"""When a model was made we do not know; Anthropic's own list has this where it does not either."""


def is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers or request.path.startswith("/anthropic/")


def anthropic_list(request: Request, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """A page of Anthropic's list: each model by its id, and by its bare name where that is an alias.

    `limit`, `after_id` and `before_id` are those of https://docs.claude.com/en/api/models-list . Raises `ApiError`.
    """
    names = sorted(entries)
    limit = _limit(request.query_params.get("limit", str(DEFAULT_LIMIT)))
    after, before = request.query_params.get("after_id", ""), request.query_params.get("before_id", "")
    if before:
        left = names[: names.index(before)] if before in entries else []
        page, has_more = left[-limit:], len(left) > limit
    else:
        left = names[names.index(after) + 1 :] if after in entries else names if not after else []
        page, has_more = left[:limit], len(left) > limit
    shown = _shown({name: entries[name] for name in page})
    return {
        "data": shown,
        "has_more": has_more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def anthropic_model(name: str, entry: Entry) -> dict[str, Any]:
    """One model, under the name that it was asked for by."""
    return _shown({name: entry})[0]


def is_gemini(request: Request) -> bool:
    return "x-goog-api-key" in request.headers or request.path.startswith(("/gemini/", "/v1beta/"))


def gemini_list(request: Request, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """A page of Gemini's list: each model by its id.

    `pageSize` and `pageToken`, the last name of the page before, are those of https://ai.google.dev/api/models . Raises
    `ApiError`.
    """
    names = sorted(name for name, entry in entries.items() if name == entry.slug)
    most = min(_limit(request.query_params.get("pageSize", str(DEFAULT_PAGE)), name="pageSize"), MOST)
    after = request.query_params.get("pageToken", "")
    left = [name for name in names if name > after]
    page = left[:most]
    more = {"nextPageToken": page[-1]} if len(left) > most else {}
    titles = _titles({entries[name].slug for name in page})
    return {"models": [_gemini(name, entries[name], titles) for name in page], **more}


def gemini_model(name: str, entry: Entry) -> dict[str, Any]:
    """One model, under the name that it was asked for by."""
    return _gemini(name, entry, _titles({entry.slug}))


def is_codex(request: Request) -> bool:
    return bool(request.query_params.get("client_version"))


def codex_list(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Codex's own catalog: the models that write, by their ids.

    Not by bare names: what Codex knows of a model by itself is more than we do, and would be replaced. Read by Codex
    0.171, which refuses an entry without instructions, and leaves its agent without any where they are empty.
    """
    writing = sorted(name for name, entry in entries.items() if name == entry.slug and entry.price.writes)
    titles = _titles(writing)
    return {"models": [_codex(name, entries[name], titles) for name in writing]}


def _codex(name: str, entry: Entry, titles: Mapping[str, str]) -> dict[str, Any]:
    context = {} if entry.context_window is None else {"context_window": entry.context_window}
    return {
        "slug": name,
        "display_name": titles.get(name) or name,
        "description": None,
        "supported_reasoning_levels": [],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 0,
        "upgrade": None,
        "base_instructions": INSTRUCTIONS,
        "supports_reasoning_summaries": True,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        **context,
    }


def gemini_error(status: int, message: str) -> dict[str, Any]:
    return {"error": error_of(Refusal(status, "", message))}


def _gemini(name: str, entry: Entry, titles: Mapping[str, str]) -> dict[str, Any]:
    limits = {"inputTokenLimit": entry.context_window, "outputTokenLimit": entry.max_output_tokens}
    return {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": "001",
        "displayName": titles.get(entry.slug) or entry.slug,
        **{field: count for field, count in limits.items() if count is not None},
        "supportedGenerationMethods": _methods(entry),
    }


def _methods(entry: Entry) -> list[str]:
    """What it may be asked for in this protocol; nothing where none of its upstreams speaks it."""
    if Protocol.GEMINI not in entry.spoken:
        return []
    if entry.price.writes:
        return ["generateContent", "streamGenerateContent", "countTokens"]
    return ["embedContent", "batchEmbedContents"]


def _titles(slugs: Iterable[str]) -> dict[str, str]:
    return dict(Model.objects.filter(slug__in=slugs).values_list("slug", "name"))


def _limit(text: str, *, name: str = "limit") -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise ApiError(f"`{name}` is a whole number from 1 to {MOST}.", status=400, code="validation_error", param=name)
    return int(text)


def _shown(entries: Mapping[str, Entry]) -> Sequence[dict[str, Any]]:
    slugs = {entry.slug for entry in entries.values()}
    titles = _titles(slugs)
    return [
        {
            "type": "model",
            "id": name,
            "display_name": titles.get(entry.slug) or entry.slug,
            "created_at": UNKNOWN_DAY,
            "max_input_tokens": entry.context_window,
            "max_tokens": entry.max_output_tokens,
            "lifecycle": "active" if entry.deprecated_on is None else "deprecated",
            "deprecated_at": _moment(entry.deprecated_on),
            "retires_at": _moment(entry.retired_on),
        }
        for name, entry in entries.items()
    ]


def _moment(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"
