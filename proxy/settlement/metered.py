"""What became of a request, and the statements by which METER writes it: one compare-and-set with the sweeper."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from core.arrays import columns
from core.records import value
from proxy.batches.pipeline import Query
from proxy.kept import rows as kept_rows
from proxy.kept.rows import Keeping
from proxy.models import Attempt
from proxy.prices.sums import Cost
from proxy.prices.usage import Usage, dumped
from proxy.settlement import attempts


@value
class Metered:
    """What became of a request, as METER writes it. Times in milliseconds, cost in USD.

    `stated_cost` is the upstream's claim, in USD; below 10^12, as the row has room for no more.
    """

    generation_id: str
    upstream_id: int | None
    usage_source: str
    reason: str
    finish_reason: str
    usage: Usage
    native: Usage
    cost: Cost
    latency_ms: int
    generation_time_ms: int
    is_flagged: bool = False
    upstream_request_id: str = ""
    stated_cost: Decimal | None = None
    asked_tier: str = ""
    service_tier: str = ""
    factor: Decimal | None = None
    """Of the customer's group, where it is not 1."""
    terms: Mapping[str, Mapping[str, str]] | None = None
    """What its price may go by beside the service tier: `asked` and `served`."""
    left_out: Mapping[str, Sequence[str]] | None = None
    """What did not go upstream: `removed` and `ignored`, None where all of it did."""

    ended_by: Mapping[str, str | None] | None = None
    """The cap or the budget without room for more of its answer."""

    keeping: Keeping | None = None
    """What the upstream keeps of it, so that its customer may name it."""

    def uncharged(self) -> "Metered":
        """The same usage, borne by the house."""
        return replace(self, cost=Cost(upstream=self.cost.upstream, charged=Decimal(0)), is_flagged=True)

    def row(self) -> list[Any]:
        used = self.usage
        return [
            self.generation_id,
            self.upstream_id,
            self.usage_source,
            self.reason,
            self.finish_reason,
            used.input_tokens,
            used.output_tokens,
            used.cached_tokens,
            used.reasoning_tokens,
            self.native.input_tokens,
            self.native.output_tokens,
            self.cost.upstream,
            self.cost.charged,
            self.latency_ms,
            self.generation_time_ms,
            self.is_flagged,
            self.upstream_request_id,
            self.service_tier,
            used.cache_write_tokens,
            used.cache_write_1h_tokens,
            used.units,
            None if used.more is None else dumped(used.more),
            self.stated_cost,
            self.asked_tier,
            self.factor,
            _as_jsonb(self.terms),
            _as_jsonb(self.left_out),
            _as_jsonb(self.ended_by),
        ]


def _as_jsonb(said: Any) -> str | None:
    """Without what a `jsonb` refuses, a NUL: nobody's charge is to be lost for what its receipt says."""
    text = None if said is None else orjson.dumps(said).decode()
    return None if text is None or "\\u0000" in text else text


COLUMNS = (
    ("id", "text"),
    ("upstream_id", "bigint"),
    ("usage_source", "text"),
    ("settlement_reason", "text"),
    ("finish_reason", "text"),
    ("input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cached_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("native_input_tokens", "bigint"),
    ("native_output_tokens", "bigint"),
    ("upstream_cost", "numeric"),
    ("cost", "numeric"),
    ("latency_ms", "int"),
    ("generation_time_ms", "int"),
    ("is_flagged", "bool"),
    ("upstream_request_id", "text"),
    ("service_tier", "text"),
    ("cache_write_tokens", "bigint"),
    ("cache_write_1h_tokens", "bigint"),
    ("units", "numeric"),
    ("more", "jsonb"),
    ("stated_cost", "numeric"),
    ("asked_tier", "text"),
    ("factor", "numeric"),
    ("terms", "jsonb"),
    ("left_out", "jsonb"),
    ("ended_by", "jsonb"),
)
AS_ADMITTED = [0, 0, 0, None, None, "", None, None, None, None]
"""The last columns of COLUMNS as admission wrote them: where a whole batch has them so, they are not written again."""
NOW = "metered_at = clock_timestamp(), "


def _names(columns: Sequence[tuple[str, str]]) -> list[str]:
    return [name for name, _ in columns if name != "id"]


def _one(columns: Sequence[tuple[str, str]]) -> str:
    """The parameters are the columns' in order, the id last."""
    kinds = dict(columns)
    sets = ", ".join(f"{name} = %s" + ("::jsonb" if kinds[name] == "jsonb" else "") for name in _names(columns))
    return f"UPDATE proxy_generation SET state = 'metered', {NOW}{sets} WHERE id = %s AND state = 'held' RETURNING id"


def _records(columns: Sequence[tuple[str, str]]) -> str:
    arrays, names = ", ".join(f"%s::{kind}[]" for _, kind in columns), ", ".join(name for name, _ in columns)
    return f"unnest({arrays}) AS r({names})"


def _many(columns: Sequence[tuple[str, str]]) -> str:
    """The parameters are the columns' in order, each a list."""
    sets = ", ".join(f"{name} = r.{name}" for name in _names(columns))
    return (
        f"UPDATE proxy_generation g SET state = 'metered', {NOW}{sets}"
        f" FROM {_records(columns)} WHERE g.id = r.id AND g.state = 'held' RETURNING g.id"
    )


VALUES = _names(COLUMNS)
IN_ONE = (*VALUES, "id")
USUAL = COLUMNS[: -len(AS_ADMITTED)]
ONE, MANY = _one(COLUMNS), _many(COLUMNS)
USUAL_ONE, USUAL_MANY = _one(USUAL), _many(USUAL)
KEPT = ("upstream_cost", "cost", "is_flagged", "settlement_reason")
TOO_LATE = (
    f"WITH late AS (UPDATE proxy_generation g SET is_flagged = true, {NOW}"
    + ", ".join(f"{name} = r.{name}" for name in VALUES if name not in KEPT)
    + f" FROM {_records(COLUMNS)} WHERE g.id = r.id AND g.state = 'released' AND g.metered_at IS NULL"
    + f" RETURNING g.id AS generation_id, 0 AS number, '{Attempt.Outcome.LATE.value}' AS outcome, g.model_id, r.*,"
    " r.usage_source = 'upstream' AS is_known), "
    + attempts.insert("late WHERE upstream_id IS NOT NULL AND usage_source <> 'none'", ended_at="clock_timestamp()")
)
"""Usage that arrives after a release is stored and flagged, and not charged; its upstream takes something for it."""


def kept_of(records: Sequence[Metered]) -> list[Query]:
    """What writes, behind `update_of`, what upstreams keep of these; nothing where they keep nothing."""
    rows: list[list[Any]] = []
    for record in records:
        if record.keeping is not None:
            told, counted = record.native, record.usage
            written = max(told.output_tokens, counted.output_tokens)
            whole = max(told.input_tokens, counted.input_tokens) + written
            rows += kept_rows.rows_of(record.generation_id, record.keeping, whole=whole, written=written)
    return [(kept_rows.WRITE, columns(rows))] if rows else []


def update_of(rows: list[list[Any]]) -> Query:
    """What writes these records, without the columns that would stay as they are."""
    usual = len(USUAL)
    one, many = ONE, MANY
    if all(row[usual:] == AS_ADMITTED for row in rows):
        rows = [row[:usual] for row in rows]
        one, many = USUAL_ONE, USUAL_MANY
    return (one, [*rows[0][1:], rows[0][0]]) if len(rows) == 1 else (many, columns(rows))
