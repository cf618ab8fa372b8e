"""Settlement alone: how many generations a second one worker posts, of one customer and of a thousand; or re-rating.

The work is made with the statements that admission and metering send, so the rows are as they are in service.
Run: python -m bench.settling [--generations 50000] [--rerating]
"""

import argparse
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench import machine

BATCH = 500
HELD = Decimal("0.01")
COST = Decimal("0.00125000")
CUSTOMERS = (1, 1000)
RERATED = Decimal("0.00001800")
"""20 tokens in and 40 out at the prices of `a_model`."""
PAGES = 100
"""Between two lines about memory."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.settling", description=__doc__)
    parser.add_argument("--generations", type=int, default=50_000)
    parser.add_argument("--tries", type=int, default=1)
    parser.add_argument("--rerating", action="store_true")
    arguments = parser.parse_args()
    with machine.database():
        machine.manage("migrate", "--verbosity", "0")
        machine.django()
        if arguments.rerating:
            rerate(generations=arguments.generations, customers=max(CUSTOMERS))
        else:
            measure(generations=arguments.generations, tries=arguments.tries)
        machine.manage("audit_ledger")


def measure(*, generations: int, tries: int = 1) -> None:
    from chuizi.memory import leave_alone
    from proxy.purchases.posting import post_all_purchases
    from proxy.settlement.settle import settle_all

    leave_alone()  # as a worker does
    people = make_customers(max(CUSTOMERS))
    for count in CUSTOMERS:
        for _try in range(tries):
            work(people[:count], generations)
            start = time.perf_counter()
            done = settle_all(now=datetime.now(UTC))
            rate = done / (time.perf_counter() - start)
            print(
                f"settlement, one worker, {count:>5} customers: {rate:>7,.0f} generations/s over {done:,}", flush=True
            )
            start = time.perf_counter()
            done = post_all_purchases(now=datetime.now(UTC))
            rate = done / (time.perf_counter() - start)
            print(f"purchases, one worker, {count:>5} customers: {rate:>8,.0f} generations/s over {done:,}", flush=True)


def make_customers(count: int) -> list[tuple[int, int]]:
    """That many customers with 1,000 USD of bonus, as (customer, key)."""
    from accounts.keys import issuing
    from accounts.models import Customer
    from accounts.signals import customer_created
    from billing.books.grants import grant_bonus

    now = datetime.now(UTC)
    made = []
    for number in range(count):
        customer = Customer.objects.create(name=f"settling {number}")
        customer_created.send(sender=Customer, customer=customer)
        amount = Decimal(10_000)
        grant_bonus(customer=customer, amount=amount, key=f"settling:{customer.pk}", reason="benchmark", now=now)
        made.append((customer.pk, issuing.issue(customer=customer, name="settling", now=now).key.pk))
    return made


def work(people: list[tuple[int, int]], generations: int, *, cost: Decimal = COST) -> None:
    """Metered generations with open holds, which cost that much, their customers in turn."""
    from django.db import connection, transaction

    from billing.books import holds
    from proxy.admission import writer
    from proxy.ids import new_generation_id
    from proxy.prices.sums import Cost
    from proxy.prices.usage import Usage
    from proxy.settlement import metered

    now = datetime.now(UTC)
    used = Usage(input_tokens=20, output_tokens=40)
    costs = Cost(upstream=cost, charged=cost)
    model, price, upstream = a_model()
    for start in range(0, generations, BATCH):
        rows = []
        for number in range(start, min(start + BATCH, generations)):
            customer, key = people[number % len(people)]
            rows.append(
                (
                    new_generation_id(),
                    customer,
                    key,
                    model,
                    price,
                    None,
                    "openai",
                    False,
                    HELD,
                    HELD,
                    now,
                    None,
                    None,
                    now.date(),
                )
            )
        held: dict[int, Decimal] = {}
        for row in rows:
            held[row[1]] = held.get(row[1], Decimal(0)) + HELD
        records = [
            metered.Metered(row[0], upstream, "upstream", "completed", "stop", used, used, costs, 1, 2).row()
            for row in rows
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(writer.WRITE_GENERATIONS, [list(column) for column in zip(*rows, strict=True)])
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(holds.PLACE_HOLDS, [columns[0], columns[1], columns[9], columns[8], columns[10]])
            cursor.execute(holds.ADD_HELD, [list(held), list(held.values()), [Decimal(0)] * len(held)])
        with connection.cursor() as cursor:
            cursor.execute(metered.MANY, [list(column) for column in zip(*records, strict=True)])


def a_model() -> tuple[int, int, int]:
    """A model, its price and its upstream, as their ids."""
    from proxy.models import Model, Price, Upstream

    model, _ = Model.objects.get_or_create(slug="bench/settling")
    rates = {"input": "0.1", "output": "0.4"}
    price, _ = Price.objects.get_or_create(
        model=model, version=1, defaults={"billing": "per_token", "rates": rates, "margin": 1}
    )
    place = {"protocol": "openai", "base_url": "http://127.0.0.1:9/v1"}
    upstream, _ = Upstream.objects.get_or_create(name="settling", defaults=place)
    return model.pk, price.pk, upstream.pk


def rerate(*, generations: int, customers: int) -> None:
    """How many settled requests a second one worker counts and posts at another price, and in how much memory."""
    from accounts.models import User
    from chuizi.memory import leave_alone
    from proxy.models import Model, Price, Rerate
    from proxy.purchases.posting import post_all_purchases
    from proxy.rerating import deciding
    from proxy.settlement.settle import settle_all

    leave_alone()  # as a worker does
    work(make_customers(customers), generations, cost=RERATED)
    settle_all(now=datetime.now(UTC))
    post_all_purchases(now=datetime.now(UTC))
    people = [User.objects.create_superuser(f"{name}@example.com", "a rather long one") for name in ("x", "y")]
    model, now = Model.objects.get(slug="bench/settling"), datetime.now(UTC)
    price = Price.objects.create(
        model=model, version=2, billing="per_token", rates={"input": "0.05", "output": "0.2"}, margin=1
    )
    row = deciding.propose(
        model=model, first_day=now.date(), last_day=now.date(), price=price, reason="benchmark", by=people[0], now=now
    )
    until("counted", Rerate.State.PROPOSED, row)
    deciding.approve(proposal_id=row.pk, by=people[1], now=datetime.now(UTC))
    until("posted", Rerate.State.DONE, row)
    print(f"{row.done:,} of {row.seen:,} done, {row.unclear:,} unclear", flush=True)


def until(what: str, state: str, row: Any) -> None:
    """Work until the re-rating is in that state, telling how much memory the process has."""
    from proxy.rerating import work

    start, steps = time.perf_counter(), 0
    while row.state != state:
        work.step(now=datetime.now(UTC))
        row.refresh_from_db()
        steps += 1
        if steps % PAGES == 0:
            print(f"  {steps} pages, {_resident():.0f} MB", flush=True)
    rate = row.seen / (time.perf_counter() - start)
    print(f"{what}: {rate:>7,.0f} requests/s over {row.seen:,}; {_resident():.0f} MB", flush=True)


def _resident() -> float:
    """What the process has in memory, MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
