"""Settlement alone: how many generations a second one worker posts, of one customer and of a thousand.

The work is made with the statements that admission and metering send, so the rows are as they are in service.
Run: python -m bench.settling [--generations 50000]
"""

import argparse
import time
from datetime import UTC, datetime
from decimal import Decimal

from bench import machine

BATCH = 500
HELD = Decimal("0.01")
COST = Decimal("0.00125000")
CUSTOMERS = (1, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.settling", description=__doc__)
    parser.add_argument("--generations", type=int, default=50_000)
    parser.add_argument("--tries", type=int, default=1)
    arguments = parser.parse_args()
    with machine.database():
        machine.manage("migrate", "--verbosity", "0")
        machine.django()
        measure(generations=arguments.generations, tries=arguments.tries)
        machine.manage("audit_ledger")


def measure(*, generations: int, tries: int = 1) -> None:
    from chuizi.memory import collect_rarely
    from proxy.settlement.settle import settle_all

    collect_rarely()  # as a worker does
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


def work(people: list[tuple[int, int]], generations: int) -> None:
    """Metered generations with open holds, their customers in turn."""
    from django.db import connection, transaction

    from billing.books import holds
    from proxy.admission import writer
    from proxy.ids import new_generation_id
    from proxy.prices.sums import Cost
    from proxy.prices.usage import Usage
    from proxy.settlement import metered

    now = datetime.now(UTC)
    used = Usage(input_tokens=20, output_tokens=40)
    model, price = a_model()
    for start in range(0, generations, BATCH):
        rows = []
        for number in range(start, min(start + BATCH, generations)):
            customer, key = people[number % len(people)]
            rows.append((new_generation_id(), customer, key, model, price, None, "openai", False, HELD, HELD, now))
        held: dict[int, Decimal] = {}
        for row in rows:
            held[row[1]] = held.get(row[1], Decimal(0)) + HELD
        records = [
            metered.Metered(
                *(row[0], None, "upstream", "completed", "stop", used, used, Cost(upstream=COST, charged=COST), 1, 2)
            ).row()
            for row in rows
        ]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(writer.WRITE_GENERATIONS, [list(column) for column in zip(*rows, strict=True)])
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(holds.PLACE_HOLDS, [columns[0], columns[1], columns[9], columns[8], columns[10]])
            cursor.execute(holds.ADD_HELD, [list(held), list(held.values()), [Decimal(0)] * len(held)])
        with connection.cursor() as cursor:
            cursor.execute(metered.MANY, [list(column) for column in zip(*records, strict=True)])


def a_model() -> tuple[int, int]:
    """A model and its price, as their ids."""
    from proxy.models import Model, Price

    model, _ = Model.objects.get_or_create(slug="bench/settling")
    rates = {"input": "0.1", "output": "0.4"}
    price, _ = Price.objects.get_or_create(
        model=model, version=1, defaults={"billing": "per_token", "rates": rates, "margin": 1}
    )
    return model.pk, price.pk


if __name__ == "__main__":
    main()
