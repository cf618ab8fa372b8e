"""Payments under load: how fast a notification is answered, and how long a round over many open orders takes.

Run by `make bench ARGS="--only inbox"`. One web process on one core answers signed Stripe events at a steady pace;
then as many open orders as asked for are due at once, and rounds of the poller hand them out.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence

import aiohttp

from bench import machine

SECRET = "whsec_bench"
PER_SECOND = 50


def measure(*, seconds: float, orders: int) -> None:
    secrets = {"STRIPE_SECRET_KEY": "sk_test_bench", "STRIPE_WEBHOOK_SECRET": SECRET}
    port = machine.free_port()
    url = f"http://127.0.0.1:{port}/payments/stripe/webhook"
    with machine.asgi("chuizi.asgi:application", core=machine.SERVER_CORE, port=port, more=secrets):
        took = asyncio.run(_send(url, seconds=seconds))
    p50, p99 = machine.percentile(took, 0.5), machine.percentile(took, 0.99)
    print(
        f"notifications stored and answered at {PER_SECOND}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
        f" most {max(took):.1f} ms ({len(took):,} of them)",
        flush=True,
    )
    _poll(orders)


async def _send(url: str, *, seconds: float) -> Sequence[float]:
    """Milliseconds that each took; anything but a 200 ends the benchmark."""
    took: list[float] = []
    async with aiohttp.ClientSession() as session:

        async def send(number: int) -> None:
            body, headers = _event(number)
            start = time.perf_counter()
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
            if answer.status != 200:
                raise SystemExit(f"a notification was answered with {answer.status}")
            took.append((time.perf_counter() - start) * 1e3)

        for number in range(5):
            await send(-1 - number)  # warm up
        took.clear()
        calls = []
        start = time.perf_counter()
        for number in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(max(0, start + number / PER_SECOND - time.perf_counter()))
            calls.append(asyncio.create_task(send(number)))
        await asyncio.gather(*calls)
    return took


def _event(number: int) -> tuple[bytes, dict[str, str]]:
    stamp = int(time.time())
    about = {"object": "checkout.session", "id": f"cs_test_{number}", "client_reference_id": f"bench{number}"}
    event = {"id": f"evt_bench_{number}", "object": "event", "type": "checkout.session.completed"}
    body = json.dumps({**event, "data": {"object": about}, "padding": "x" * 3000}).encode()
    signature = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return body, {"Stripe-Signature": f"t={stamp},v1={signature}", "Content-Type": "application/json"}


def _poll(orders: int) -> None:
    """Rounds of the poller until each order was handed out once; no provider is asked, that is each task's own."""
    machine.django()
    from datetime import UTC, datetime, timedelta
    from decimal import Decimal

    from accounts.models import Customer
    from payments.models import TopUp
    from payments.topups import polling

    now = datetime.now(UTC)
    customer = Customer.objects.order_by("pk").first()
    TopUp.objects.bulk_create(
        TopUp(
            number=f"bench{number:06}",
            customer=customer,
            method="wechat",
            amount=Decimal(20),
            charge_amount=Decimal("142.40"),
            charge_currency="CNY",
            fx_rate=Decimal("7.12"),
            created_at=now,
            changed_at=now,
            expires_at=now + timedelta(minutes=15),
            next_poll_at=now,
            request={},
        )
        for number in range(orders)
    )
    rounds, found, start = [], 0, time.perf_counter()
    while True:
        began = time.perf_counter()
        claimed = polling.claim_due(now=now)
        if not claimed:
            break
        rounds.append((time.perf_counter() - began) * 1e3)
        found += len(claimed)
    print(
        f"{found:,} open orders due at once: handed out in {len(rounds)} rounds of at most {max(rounds):.0f} ms,"
        f" {time.perf_counter() - start:.1f} s in all",
        flush=True,
    )
    TopUp.objects.filter(number__startswith="bench").delete()
