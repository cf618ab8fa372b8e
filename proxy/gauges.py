"""What the database knows of the money path, read when `/metrics` is: each figure from a small partial index."""

from typing import Any

import psycopg
from prometheus_client import Gauge

HELD = Gauge("chuizi_generations_held", "Requests whose hold is open and whose usage is not known yet.")
TO_SETTLE = Gauge("chuizi_generations_to_settle", "Metered requests that wait for settlement.")
SETTLEMENT_LAG = Gauge("chuizi_settlement_lag_seconds", "Age of the oldest metered request that is not settled.")
FLAGGED = Gauge("chuizi_generations_flagged", "Requests that staff should look at: orphans, capped, quarantined.")
LEASES = Gauge("chuizi_gateways_alive", "Gateway processes whose lease is fresh.")
OLDEST_SNAPSHOT = Gauge("chuizi_oldest_transaction_seconds", "Age of the database's oldest open transaction.")

QUERY = """SELECT
 (SELECT count(*) FROM proxy_generation WHERE state = 'held'),
 (SELECT count(*) FROM proxy_generation WHERE state = 'metered'),
 (SELECT coalesce(extract(epoch FROM now() - metered_at), 0) FROM proxy_generation WHERE state = 'metered'
   ORDER BY id LIMIT 1),
 (SELECT count(*) FROM (SELECT 1 FROM proxy_generation WHERE is_flagged LIMIT 10000) AS listed),
 (SELECT count(*) FROM proxy_lease WHERE renewed_at > now() - interval '60 s'),
 (SELECT coalesce(max(extract(epoch FROM now() - xact_start)), 0) FROM pg_stat_activity
   WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid())"""


async def refresh(connection: psycopg.AsyncConnection[Any]) -> None:
    """Set the gauges; raises psycopg errors."""
    row = await (await connection.execute(QUERY)).fetchone()
    gauges = (HELD, TO_SETTLE, SETTLEMENT_LAG, FLAGGED, LEASES, OLDEST_SNAPSHOT)
    for gauge, value in zip(gauges, row or [0] * len(gauges), strict=True):
        gauge.set(value or 0)
