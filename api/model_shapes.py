"""The list of models as clients of other protocols read it, told apart by the headers that they send."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rest_framework.request import Request

from api.common.base import ApiError
from proxy.models import Model
from proxy.prices.catalog import Entry

DEFAULT_LIMIT, MOST = 20, 1000
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


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise ApiError(
            f"`limit` is a whole number from 1 to {MOST}.", status=400, code="validation_error", param="limit"
        )
    return int(text)


def _shown(entries: Mapping[str, Entry]) -> Sequence[dict[str, Any]]:
    slugs = {entry.slug for entry in entries.values()}
    titles = dict(Model.objects.filter(slug__in=slugs).values_list("slug", "name"))
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
