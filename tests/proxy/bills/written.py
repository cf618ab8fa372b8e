"""Bills as their providers write them, of requests as `Billed` has them."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from proxy.models import Generation
from tests.proxy.bills.conftest import MODELS


@dataclass
class Billed:
    at: datetime
    model: str
    request_id: str
    cost: Decimal
    fresh: int = 500
    cached: int = 400
    output: int = 100

    @property
    def day(self) -> str:
        return f"{self.at:%Y-%m-%d}"

    @property
    def start(self) -> int:
        return int(datetime(self.at.year, self.at.month, self.at.day, tzinfo=UTC).timestamp())


def of(generation: Generation) -> Billed:
    cost = generation.purchase_cost or Decimal(0)
    return Billed(generation.created_at, MODELS[generation.model.slug], generation.upstream_request_id, cost)


Writer = Callable[[Sequence[Billed]], bytes]


def table(rows: Sequence[dict[str, object]], *, names: Sequence[str] = ()) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names or list(rows[0]), extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _by_day(billed: Sequence[Billed]) -> dict[tuple[str, int, str], list[Billed]]:
    found: dict[tuple[str, int, str], list[Billed]] = defaultdict(list)
    for one in billed:
        found[one.day, one.start, one.model].append(one)
    return found


def _pages(entries: Sequence[tuple[object, object, dict[str, object]]], begin: str, end: str) -> bytes:
    periods: dict[object, dict[str, object]] = {}
    for starts, ends, result in entries:
        period = periods.setdefault(starts, {"object": "bucket", begin: starts, end: ends, "results": []})
        period["results"].append(result)  # type: ignore[attr-defined]
    halves = [list(periods.values())[:15], list(periods.values())[15:]]
    pages = [{"object": "page", "data": half, "has_more": half is halves[0], "next_page": None} for half in halves]
    return "\n".join(json.dumps(page, indent=1) for page in pages).encode()


SPLIT = ((Decimal("0.5"), "input"), (Decimal("0.1"), "cached input"), (Decimal("0.4"), "output"))
"""What of a request's cost each part is, at the price of the fixtures' models."""


def openai_costs(billed: Sequence[Billed]) -> bytes:
    """As `group_by=line_item` answers; the total of a model's day is split over three lines."""
    entries = []
    for (_day, start, model), ones in _by_day(billed).items():
        cost = sum(one.cost for one in ones)
        for share, what in SPLIT:
            amount = {"value": float(cost * share), "currency": "usd"}
            result: dict[str, object] = {
                "object": "organization.costs.result",
                "amount": amount,
                "line_item": f"{model}, {what}",
                "project_id": None,
            }
            entries.append((start, start + 86_400, result))
    return _pages(entries, "start_time", "end_time")


def openai_costs_table(billed: Sequence[Billed]) -> bytes:
    rows: list[dict[str, object]] = [
        {
            "start_time": start,
            "end_time": start + 86_400,
            "start_time_iso": f"{day}T00:00:00+00:00",
            "amount_value": f"{sum(one.cost for one in ones) * share:.16f}",
            "amount_currency": "usd",
            "line_item": f"{model}, {what}",
            "organization_name": "Personal",
        }
        for (day, start, model), ones in _by_day(billed).items()
        for share, what in SPLIT
    ]
    empty: dict[str, object] = {"start_time": 1_759_968_000, "end_time": 1_760_054_400}
    return table([*rows, empty], names=list(rows[0]))


def openai_usage(billed: Sequence[Billed]) -> bytes:
    entries = []
    for (_day, start, model), ones in _by_day(billed).items():
        result: dict[str, object] = {
            "object": "organization.usage.completions.result",
            "input_tokens": sum(one.fresh + one.cached for one in ones),
            "input_cached_tokens": sum(one.cached for one in ones),
            "output_tokens": sum(one.output for one in ones),
            "num_model_requests": len(ones),
            "model": model,
            "batch": False,
            "service_tier": "default",
            "user_id": None,
        }
        entries.append((start, start + 86_400, result))
    return _pages(entries, "start_time", "end_time")


def openai_usage_table(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {
                "start_time": start,
                "end_time": start + 86_400,
                "num_model_requests": f"{len(ones)}.0",
                "model": model,
                "batch": "False",
                "service_tier": "default",
                "input_tokens": sum(one.fresh + one.cached for one in ones),
                "output_tokens": sum(one.output for one in ones),
                "input_cached_tokens": sum(one.cached for one in ones),
                "input_uncached_tokens": sum(one.fresh for one in ones),
            }
            for (_day, start, model), ones in _by_day(billed).items()
        ]
    )


def anthropic_costs(billed: Sequence[Billed]) -> bytes:
    entries = []
    for (day, _start, model), ones in _by_day(billed).items():
        cents = sum(one.cost for one in ones) * 100
        for share, what in (
            ("0.5", "uncached_input_tokens"),
            ("0.1", "cache_read_input_tokens"),
            ("0.4", "output_tokens"),
        ):
            result: dict[str, object] = {
                "amount": f"{cents * Decimal(share):f}",
                "currency": "USD",
                "cost_type": "tokens",
                "context_window": "0-200k",
                "model": model,
                "service_tier": "standard",
                "token_type": what,
                "workspace_id": None,
            }
            entries.append((f"{day}T00:00:00Z", "", result))
    return _pages(entries, "starting_at", "ending_at")


def anthropic_usage(billed: Sequence[Billed]) -> bytes:
    entries = []
    for (day, _start, model), ones in _by_day(billed).items():
        result: dict[str, object] = {
            "uncached_input_tokens": sum(one.fresh for one in ones),
            "cache_read_input_tokens": sum(one.cached for one in ones),
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            "output_tokens": sum(one.output for one in ones),
            "server_tool_use": {"web_search_requests": 0},
            "model": model,
            "service_tier": "standard",
        }
        entries.append((f"{day}T00:00:00Z", "", result))
    return _pages(entries, "starting_at", "ending_at")


def anthropic_console(billed: Sequence[Billed]) -> bytes:
    """With the models' names for people, and each line rounded to the cent."""
    names = {"gpt-4.1-2025-04-14": "GPT 4.1", "claude-opus-4-6-20260210": "Claude Opus 4.6"}
    rows: list[dict[str, object]] = []
    for (day, _start, model), ones in _by_day(billed).items():
        cost = sum(one.cost for one in ones)
        for share, what in (("0.5", "input_no_cache"), ("0.1", "input_cache_read"), ("0.4", "output")):
            rows.append(
                {
                    "usage_date_utc": day,
                    "model": names.get(model, model),
                    "workspace": "Default",
                    "api_key": "k",
                    "usage_type": "message",
                    "context_window": "≤ 200k",
                    "token_type": what,
                    "cost_usd": f"{cost * Decimal(share):.2f}",
                    "list_price_usd": "9.99",
                    "cost_type": "token",
                }
            )
    return table(rows)


def anthropic_tokens(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {
                "usage_date_utc": day,
                "model_version": model,
                "api_key": "k",
                "usage_type": "standard",
                "context_window": "≤ 200k",
                "usage_input_tokens_no_cache": sum(one.fresh for one in ones),
                "usage_input_tokens_cache_write_5m": 0,
                "usage_input_tokens_cache_write_1h": 0,
                "usage_input_tokens_cache_read": sum(one.cached for one in ones),
                "usage_output_tokens": sum(one.output for one in ones),
                "web_search_count": 0,
            }
            for (day, _start, model), ones in _by_day(billed).items()
        ]
    )


def openrouter(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {
                "generation_id": one.request_id,
                "created_at": f"{one.at:%Y-%m-%d %H:%M:%S.%f}",
                "cost_total": f"{one.cost:f}",
                "cost_web_search": "",
                "tokens_prompt": one.fresh,
                "tokens_completion": one.output,
                "model_permaslug": one.model,
                "provider_name": "OpenAI",
                "variant": "standard",
                "cancelled": "false",
            }
            for one in billed
        ]
    )


def openrouter_days(billed: Sequence[Billed]) -> bytes:
    rows = [
        {
            "Date": f"{day} 00:00:00",
            "Slug": model,
            "Usage": f"{sum(one.cost for one in ones):f}",
            "BYOK Usage": "0",
            "Requests": len(ones),
            "Prompt Tokens": 1,
        }
        for (day, _start, model), ones in _by_day(billed).items()
    ]
    return table(rows)


def new_api(billed: Sequence[Billed]) -> bytes:
    consumed = [
        {
            "id": number,
            "created_at": int(one.at.timestamp()),
            "type": 2,
            "model_name": one.model,
            "quota": int(one.cost * 500_000),
            "prompt_tokens": one.fresh + one.cached,
            "completion_tokens": one.output,
            "token_name": "ours",
            "request_id": one.request_id,
        }
        for number, one in enumerate(billed)
    ]
    topped_up = {"created_at": 1_790_000_000, "type": 1, "quota": "", "token_name": "top-up"}
    return table([*consumed, topped_up], names=list(consumed[0]))


def one_api(billed: Sequence[Billed]) -> bytes:
    """A log without ids."""
    return table(
        [
            {
                "created_at": int(one.at.timestamp()),
                "type": 2,
                "model_name": one.model,
                "quota": int(one.cost * 500_000),
                "channel": 3,
            }
            for one in billed
        ]
    )


def chuizi(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {
                "settled_at": f"{one.at:%Y-%m-%dT%H:%M:%S}Z",
                "created_at": f"{one.at:%Y-%m-%dT%H:%M:%S}Z",
                "generation_id": one.request_id,
                "model": one.model,
                "key": "ours",
                "member": "",
                "session": "",
                "status": "settled",
                "input_tokens": one.fresh + one.cached,
                "output_tokens": one.output,
                "cached_tokens": one.cached,
                "cost": f"{one.cost:.8f}",
            }
            for one in billed
        ]
    )


def plain(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {
                "day": day,
                "model": model,
                "tokens": sum(one.fresh + one.cached + one.output for one in ones),
                "amount": f"{sum(one.cost for one in ones):f}",
            }
            for (day, _start, model), ones in _by_day(billed).items()
        ]
    )


def plain_ids(billed: Sequence[Billed]) -> bytes:
    return table(
        [
            {"day": one.day, "model": one.model, "amount": f"{one.cost:f}", "request_id": one.request_id}
            for one in billed
        ]
    )


BY_DAY: dict[str, Writer] = {
    "openai-costs": openai_costs,
    "openai-costs, table": openai_costs_table,
    "anthropic-costs": anthropic_costs,
    "anthropic-console": anthropic_console,
    "openrouter-days": openrouter_days,
    "new-api, without ids": one_api,
    "plain": plain,
}
BY_TOKENS: dict[str, Writer] = {
    "openai-usage": openai_usage,
    "openai-usage, table": openai_usage_table,
    "anthropic-usage": anthropic_usage,
    "anthropic-tokens": anthropic_tokens,
}
BY_ID: dict[str, Writer] = {"openrouter": openrouter, "new-api": new_api, "chuizi": chuizi, "plain, ids": plain_ids}
