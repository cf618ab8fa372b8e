"""How long from an answer to its charge on the books, at a steady thousand requests a second.

The worker and beat run as in production. A batch's `settled_at` is the moment before it is written, so the time of one
batch (some tens of milliseconds) is to be added.
"""

from collections.abc import Sequence

from bench import machine
from bench.machine import Load

CALLERS = 64


def measure(gateway: machine.Chuizi, *, seconds: float, rate: int = 1000) -> None:
    """Load at about `rate` requests a second for that long; print the percentiles."""
    begun = _newest()
    with machine.settler():
        found = machine.load(
            gateway.url,
            headers=gateway.headers,
            callers=CALLERS,
            seconds=seconds,
            pause_ms=_pause(gateway, rate=rate),
        )
        _wait_until_settled()
    _show(found, _lags(begun))


def _pause(gateway: machine.Chuizi, *, rate: int) -> int:
    """Milliseconds for each caller to wait, so that together they ask `rate` times a second."""
    wished = CALLERS / rate * 1e3
    tried = machine.load(gateway.url, headers=gateway.headers, callers=CALLERS, seconds=3, pause_ms=round(wished))
    return max(1, round(wished - (CALLERS / tried.rate * 1e3 - wished)))


def _newest() -> str:
    machine.django()
    from proxy.models import Generation

    return str(Generation.objects.order_by("-pk").values_list("pk", flat=True).first() or "")


def _wait_until_settled() -> None:
    import time

    from proxy.models import Generation

    for _ in range(600):
        if not Generation.objects.filter(state__in=["held", "metered"]).exists():
            return
        time.sleep(0.1)
    raise SystemExit("settlement did not catch up within a minute")


def _lags(begun: str) -> Sequence[float]:
    """Seconds from metered to settled of every generation since."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(0, extract(epoch FROM settled_at - metered_at)) FROM proxy_generation WHERE id > %s"
            " AND settled_at IS NOT NULL",
            [begun],
        )
        return [float(lag) for (lag,) in cursor.fetchall()]


def _show(found: Load, lags: Sequence[float]) -> None:
    p50, p99, most = (machine.percentile(lags, share) for share in (0.5, 0.99, 1))
    print(
        f"from answer to settled at {found.rate:,.0f} requests/s: p50 {p50:.2f} s, p99 {p99:.2f} s, most {most:.2f} s"
        f" ({len(lags):,} requests, {found.failed} failed; their own p99 {found.p99:.0f} ms)",
        flush=True,
    )
