"""What the database knows of the money path, read when `/metrics` is: each figure from a small partial index."""

from typing import Any

import psycopg
from prometheus_client import Gauge


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    return Gauge(name, text, labels, multiprocess_mode="mostrecent")


HELD = _gauge("chuizi_generations_held", "Requests whose hold is open and whose usage is not known yet.")
TO_SETTLE = _gauge("chuizi_generations_to_settle", "Metered requests that wait for settlement.")
SETTLEMENT_LAG = _gauge("chuizi_settlement_lag_seconds", "Age of the oldest metered request that is not settled.")
FLAGGED = _gauge(
    "chuizi_generations_flagged",
    "Requests for staff to look at, by kind: orphan (its gateway died), late (usage after its release), uncharged (the"
    " house bore it), capped (at its bound, or odd) and quarantined (cannot be settled). At most 10,000 are counted.",
    ("kind",),
)
LEASES = _gauge("chuizi_gateways_alive", "Gateway processes whose lease is fresh.")
SWEPT_ALIVE = _gauge(
    "chuizi_gateways_swept_alive",
    "Gateway processes that were taken for dead, and whose lease was renewed afterwards: what they had in flight was"
    " released. Should be 0.",
)
OLDEST_TRANSACTION = _gauge("chuizi_oldest_transaction_seconds", "Age of the oldest transaction with a snapshot.")
OLDEST_XMIN = _gauge(
    "chuizi_oldest_xmin_transactions",
    "How many transactions the oldest snapshot is behind: of sessions, prepared ones, slots and replicas.",
)
KINDS = ("orphan", "late", "uncharged", "capped", "quarantined")

QUERY = """SELECT
 (SELECT count(*) FROM proxy_generation WHERE state = 'held'),
 (SELECT count(*) FROM proxy_generation WHERE state = 'metered'),
 (SELECT extract(epoch FROM now() - metered_at) FROM proxy_generation WHERE state = 'metered' ORDER BY id LIMIT 1),
 (SELECT count(*) FROM proxy_lease WHERE renewed_at > now() - interval '60 s'),
 (SELECT count(*) FROM proxy_lease WHERE swept_at < renewed_at),
 (SELECT max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity
   WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()),
 (SELECT max(age) FROM (
    SELECT age(backend_xmin) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
    UNION ALL SELECT age(transaction) FROM pg_prepared_xacts
    UNION ALL SELECT greatest(age(xmin), age(catalog_xmin)) FROM pg_replication_slots
    UNION ALL SELECT age(backend_xmin) FROM pg_stat_replication) AS snapshots(age))"""
FLAGGED_QUERY = """SELECT kind, count(*) FROM (
 SELECT CASE WHEN state = 'quarantined' THEN 'quarantined'
   WHEN state <> 'released' THEN CASE WHEN cost = 0 AND upstream_cost > 0 THEN 'uncharged' ELSE 'capped' END
   WHEN metered_at IS NULL THEN 'orphan' WHEN metered_at > settled_at THEN 'late' ELSE 'uncharged' END AS kind
 FROM proxy_generation WHERE is_flagged LIMIT 10000) AS listed GROUP BY kind"""


async def refresh(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set the gauges; raises psycopg errors."""
    row = await (await connection.execute(QUERY)).fetchone()
    gauges = (HELD, TO_SETTLE, SETTLEMENT_LAG, LEASES, SWEPT_ALIVE, OLDEST_TRANSACTION, OLDEST_XMIN)
    for gauge, value in zip(gauges, row or [0] * len(gauges), strict=True):
        gauge.set(max(0, value or 0))
    flagged = dict(await (await connection.execute(FLAGGED_QUERY)).fetchall())
    for kind in KINDS:
        FLAGGED.labels(kind).set(flagged.get(kind, 0))
