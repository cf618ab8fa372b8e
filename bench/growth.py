"""What a request costs with ten thousand generations in the table and with millions, and beside an audit or an export.

The past is a made one: settled generations, each with its captured hold and its transfer, in one customer's books.
"""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench import machine

COST = Decimal("0.00001000")
STEPS = (10_000, 5_000_000)
EXPORT_PAGE = 5_000
AT_ONCE = 250_000


def measure(gateway: machine.Chuizi, *, seconds: float, most: int) -> None:
    machine.django()
    from proxy.models import Generation

    machine.load(gateway.url, headers=gateway.headers, callers=8, seconds=3)  # opens the gateway's connections
    backends = _backends()
    for wanted in sorted({min(step, most) for step in STEPS}):
        began = time.monotonic()
        fill(wanted - Generation.objects.count())
        note = f"(filled in {time.monotonic() - began:.0f} s)"
        _say(f"{wanted:,} generations", gateway, backends, seconds, note=note)
    audit = [sys.executable, "manage.py", "audit_ledger", "--full"]
    with subprocess.Popen(
        audit, env=machine.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _say("while the full audit runs", gateway, backends, seconds)
        if process.poll() is not None:
            print("the audit had ended before the load")
        process.send_signal(signal.SIGINT)  # which ends its query too
    over = threading.Event()
    export = threading.Thread(target=_export, args=(over,))
    export.start()
    _say("while an export runs", gateway, backends, seconds)
    over.set()
    export.join()


def _backends() -> Sequence[int]:
    """The processes of PostgreSQL that serve the gateway; none where it runs elsewhere."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in cursor.fetchall() if Path(f"/proc/{pid}").exists()]


def _say(what: str, gateway: machine.Chuizi, backends: Sequence[int], seconds: float, note: str = "") -> None:
    from proxy.settlement.settle import settle_all

    def used(pids: Sequence[int]) -> float:
        return sum(machine.cpu_seconds(pid) for pid in pids if Path(f"/proc/{pid}").exists())

    own, theirs = used([gateway.pid]), used(backends)
    many = machine.load(gateway.url, headers=gateway.headers, callers=32, seconds=seconds)
    own = (used([gateway.pid]) - own) / many.requests * 1e3
    theirs = (used(backends) - theirs) / many.requests * 1e3
    one = machine.load(gateway.url, headers=gateway.headers, callers=1, seconds=seconds)
    start = time.perf_counter()
    done = settle_all(now=datetime.now(UTC))
    settled = done / (time.perf_counter() - start)
    commit = machine.one_row_commit(times=200)
    print(
        f"{what:28} processor time of a request: {own:.3f} ms the gateway, {theirs:.3f} ms PostgreSQL;"
        f" {many.rate:,.0f} requests/s at 32 callers; one caller's p50 {one.p50:.2f} ms beside a one-row commit of"
        f" {commit:.2f} ms; settlement {settled:,.0f}/s {note}",
        flush=True,
    )


def fill(count: int) -> None:
    """That many settled requests of the benchmark's customer, older than all that is there; the books stay right."""
    from django.db import ProgrammingError, connection, transaction

    from accounts.models import ApiKey
    from billing.books.ledger import house_account
    from billing.models import Wallet
    from proxy.models import Price

    key = ApiKey.objects.order_by("pk").first()
    price = Price.objects.order_by("pk").last()
    assert key is not None
    assert price is not None
    wallet = Wallet.objects.get(customer_id=key.customer_id)
    at = datetime.now(UTC) - timedelta(days=30)
    values: dict[str, Any] = {
        "customer": key.customer_id,
        "key": key.pk,
        "model": price.model_id,
        "price": price.pk,
        "cost": COST,
        "at": at,
        "debit": wallet.bonus_account_id,
        "credit": house_account("revenue:bonus").pk,
    }
    done = 0
    while done < count:
        some = min(AT_ONCE, count - done)
        values |= {"from": _made(), "to": _made() + some - 1}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")
            for statement in (GENERATIONS, HOLDS, TRANSFERS):
                cursor.execute(statement, values)
            cursor.execute(
                "UPDATE billing_wallet SET bonus = bonus - %s WHERE customer_id = %s", [COST * some, key.customer_id]
            )
        done += some
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for table in ("proxy_generation", "billing_hold", "billing_transfer"):
            cursor.execute(f"VACUUM ANALYZE {table}")
        with contextlib.suppress(ProgrammingError):  # a role that may not: then what was filled is still being written
            cursor.execute("CHECKPOINT")


def _made() -> int:
    """How many were made before: their ids sort below any real one, as their time is 1970's."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM proxy_generation WHERE id < 'gen-00001'")
        [(last,)] = cursor.fetchall()
    return int(last.removeprefix("gen-")) + 1 if last else 0


NUMBERS = "generate_series(%(from)s::bigint, %(to)s::bigint) n"
ID = "'gen-' || lpad(n::text, 24, '0')"
GENERATIONS = (
    "INSERT INTO proxy_generation (id, customer_id, key_id, model_id, price_id, protocol, streamed, state, bound, held,"
    " created_at, metered_at, usage_source, settlement_reason, finish_reason, input_tokens, output_tokens,"
    " cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, native_input_tokens,"
    " native_output_tokens, units, upstream_cost, cost, latency_ms, generation_time_ms, is_flagged, settled_at,"
    " failures)"
    f" SELECT {ID}, %(customer)s, %(key)s, %(model)s, %(price)s, 'openai', false, 'settled', %(cost)s, %(cost)s,"
    " %(at)s, %(at)s, 'upstream', 'completed', 'stop', 20, 40, 0, 0, 0, 0, 20, 40, 0, %(cost)s, %(cost)s, 300, 900,"
    f" false, %(at)s, 0 FROM {NUMBERS}"
)
HOLDS = (
    "INSERT INTO billing_hold (key, customer_id, kind, state, amount, bound, captured, reason, created_at, resolved_at)"
    f" SELECT {ID}, %(customer)s, 'request', 'captured', %(cost)s, %(cost)s, %(cost)s, 'completed', %(at)s, %(at)s"
    f" FROM {NUMBERS}"
)
TRANSFERS = (
    'INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, "group", memo, created_at)'
    f" SELECT {ID} || ':bonus', 'usage_bonus', %(debit)s, %(credit)s, 'USD', %(cost)s, '', '', %(at)s FROM {NUMBERS}"
)


def _export(over: threading.Event) -> None:
    """Read every request by key, page after page, as an export does, until it is told to stop."""
    from django.db import connection

    from proxy.models import Generation

    last = ""
    while not over.is_set():
        rows = list(Generation.objects.filter(pk__gt=last).order_by("pk").values_list()[:EXPORT_PAGE])
        last = rows[-1][0] if rows else ""
    connection.close()
