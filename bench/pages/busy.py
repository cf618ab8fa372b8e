"""The pages of a customer with a million requests and 10,000 transfers of other kinds: server time and size of each.

The rows are made in SQL, over 90 days, as a version before sums of days left them; the sums are then counted by the
task that an upgrade has. Run: python -m bench.pages.busy [--requests 1000000]
"""

import argparse
import gzip
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import machine

MODELS, KEYS, DAYS = 8, 5, 90
MOST_MS, MOST_KB = 100, 60
TRIES = 5
REQUESTS = """
INSERT INTO proxy_generation (id, customer_id, key_id, model_id, price_id, protocol, streamed, state, bound, held,
 created_at, session, metered_at, usage_source, settlement_reason, finish_reason, input_tokens, output_tokens,
 cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, native_input_tokens, native_output_tokens,
 units, cost, upstream_cost, is_flagged, settled_at, failures)
SELECT id, %(customer)s, (%(keys)s::bigint[])[1 + n %% %(key_count)s],
 (%(models)s::bigint[])[1 + n %% %(model_count)s], %(price)s, 'openai', false, 'settled', 0.01, 0.01, at,
 CASE WHEN n %% 3 = 0 THEN 'session-' || %(low)s || '-' || n / 60 END, at,
 'upstream', 'completed', 'stop', 900, 300, 100, 0, 0, 0, 900,
 300, 0, 0.00012500, 0.00012500, false, at + interval '1 second', 0
FROM unnest(%(ids)s::text[], %(ats)s::timestamptz[]) WITH ORDINALITY AS made(id, at, n)"""
TRANSFERS = """
INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, memo, "group", created_at, booked_on)
SELECT 'busy:' || n, 'grant', %(house)s, %(bonus)s, 'USD', 0.05, 'benchmark', '', now(), now()::date
FROM generate_series(1, 10000) n"""
CHARGES = """
INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, memo, "group", created_at, booked_on)
SELECT id || ':bonus', 'usage_bonus', %(bonus)s, %(used)s, 'USD', cost, '', '', settled_at, settled_at::date
FROM proxy_generation WHERE customer_id = %(customer)s AND id > %(after)s ORDER BY id LIMIT 50000"""

BALANCE = """
UPDATE billing_wallet SET bonus =
 (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE credit_id = %(bonus)s)
 - (SELECT coalesce(sum(amount), 0) FROM billing_transfer WHERE debit_id = %(bonus)s)
WHERE customer_id = %(customer)s"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pages.busy", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with machine.database():
        machine.manage("migrate", "--verbosity", "0")
        machine.manage("collectstatic", "--noinput", "--verbosity", "0")
        machine.django()
        measure(requests=arguments.requests)


def measure(*, requests: int) -> None:
    from django.db import connection
    from django.test import Client

    from billing.statements import closing
    from proxy.settlement import counting

    user, customer = fill(requests)
    start = time.perf_counter()
    counted = 0
    while done := counting.count_left():
        counted += done
    print(f"counted {counted:,} requests at {counted / (time.perf_counter() - start):,.0f} a second", flush=True)
    print(f"closed {closing.close_due(now=datetime.now(UTC)).closed} months of accounts", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    client = Client(HTTP_HOST="localhost")
    client.force_login(user)
    for path in pages(customer):
        times = []
        for _try in range(TRIES):
            start = time.perf_counter()
            answer = client.get(path)
            times.append((time.perf_counter() - start) * 1000)
        size = len(gzip.compress(answer.content)) / 1000
        mark = "" if min(times) <= MOST_MS and size <= MOST_KB else "  <- above"
        print(f"{min(times):>7.1f} ms  {size:>5.1f} kB  {answer.status_code}  {path}{mark}", flush=True)
    export(customer)


def fill(requests: int) -> tuple[Any, Any]:
    """The customer and its user, with that many requests and charges, and 10,000 grants."""
    from django.db import connection

    from accounts.keys import issuing
    from accounts.models import Customer, Membership, User
    from accounts.signals import customer_created
    from billing.books import chart
    from billing.books.ledger import house_account
    from billing.models import Wallet
    from proxy.ids import new_generation_id
    from proxy.models import Model, Price

    now = datetime.now(UTC)
    first = now - timedelta(days=DAYS)
    user = User.objects.create_user("busy@example.com", "a rather long one")
    customer = Customer.objects.create(name="busy")
    customer_created.send(sender=Customer, customer=customer)
    Membership.objects.create(user=user, customer=customer)
    keys = [issuing.issue(customer=customer, name=f"key {n}", created_by=user, now=now).key.pk for n in range(KEYS)]
    models = [Model.objects.create(slug=f"bench/model-{number}") for number in range(MODELS)]
    rates = {"input": "0.1", "output": "0.4"}
    prices = [Price.objects.create(model=m, version=1, billing="per_token", rates=rates, margin=1) for m in models]
    wallet = Wallet.objects.get(customer=customer)
    given: dict[str, Any] = {
        **{"customer": customer.pk, "keys": keys, "key_count": KEYS, "models": [m.pk for m in models]},
        **{
            "model_count": MODELS,
            "price": prices[0].pk,
            "bonus": wallet.bonus_account_id,
            "used": house_account(chart.BONUS_USED).pk,
            "house": house_account(chart.BONUS_GIVEN).pk,
        },
    }
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for low in range(0, requests, 50_000):
            numbers = range(low, min(low + 50_000, requests))
            ats = [first + timedelta(days=DAYS) * (number / requests) for number in numbers]
            ids = [new_generation_id(int(at.timestamp() * 1e9)) for at in ats]
            cursor.execute(REQUESTS, {**given, "low": low, "ids": ids, "ats": ats})
        after = ""
        while True:
            cursor.execute(CHARGES, {**given, "after": after})
            if not cursor.rowcount:
                break
            cursor.execute(
                "SELECT max(id) FROM (SELECT id FROM proxy_generation WHERE customer_id = %s AND id > %s"
                " ORDER BY id LIMIT 50000) p",
                [customer.pk, after],
            )
            [after] = cursor.fetchone()
        cursor.execute(TRANSFERS, given)
        cursor.execute(BALANCE, given)
    return user, customer


def pages(customer: Any) -> list[str]:
    """Every page of the console that lists or sums up something."""
    from accounts.models import ApiKey

    key, month = ApiKey.objects.filter(customer=customer).latest("pk"), f"{datetime.now(UTC):%Y-%m}"
    return [
        *("/console/", "/console/usage", "/console/usage?range=last-month&by=key", "/console/usage?by=model"),
        *("/console/usage?by=member", "/console/usage?by=session", "/console/usage?by=requests"),
        *(f"/console/usage?by=requests&key={key.pk}", "/console/usage?by=requests&state=released"),
        *(
            "/console/transactions",
            "/console/transactions?side=in",
            "/console/statements",
            f"/console/statements/{month}",
        ),
        *(
            "/console/keys",
            f"/console/keys/{key.pk}",
            "/console/team",
            "/console/budgets",
            "/console/settings",
            "/console/topup",
        ),
        *("/console/refunds", "/console/invoices", "/console/start", "/console/webhooks", "/models"),
    ]


def export(customer: Any) -> None:
    """How many lines of CSV a second, and how much memory they take."""
    import resource

    from proxy.records.exported import since_the_first, usage_csv
    from proxy.records.sums import Chosen

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, lines = time.perf_counter(), 0
    for piece in usage_csv(customer, of=Chosen(first=since_the_first(), last=datetime.now(UTC).date())):
        lines += piece.count("\n")
    rate = lines / (time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    print(f"CSV: {lines:,} lines at {rate:,.0f} a second, {grown:.0f} MB more than before", flush=True)


if __name__ == "__main__":
    main()
