"""`python -m bench.seed`: fill an empty database with a business of some size, whose books are right.

Customers have topped up, spent and asked for refunds. A tenth of the requests cost something, as each of those needs
a hold and a transfer; the rest went to a free model. The ledger's tables are filled directly: this is the one place
beside the domain's functions that writes them, and it refuses a database that has customers.
"""

import argparse
import os
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django

DAYS = 90
CHARGE = Decimal("0.00125000")
TOPUP = Decimal("20.00")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.seed", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--generations", type=int, default=1_000_000)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    django.setup()
    fill(customers=arguments.customers, generations=arguments.generations)


def fill(*, customers: int, generations: int) -> None:
    """Write that many customers and generations, and for each customer a top-up; every tenth generation is charged."""
    from django.db import connection, transaction

    from accounts.models import Customer
    from billing.books.ledger import house_account
    from proxy.ids import new_generation_id

    if Customer.objects.exists():
        raise SystemExit("This database has customers; seed an empty one.")
    house = {name: house_account(name).pk for name in ("clearing:stripe:USD", "revenue:usage")}
    start = datetime.now(UTC) - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / generations
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        people(cursor, customers, start)
        cursor.execute(
            "SELECT w.customer_id, w.paid_account_id, k.id FROM billing_wallet w"
            " JOIN accounts_apikey k USING (customer_id) ORDER BY 1"
        )
        wallets = cursor.fetchall()
        model, price, upstream = a_model(cursor, start)
        dice = random.Random(1)
        charged: list[tuple[str, int, int, datetime]] = []

        def rows() -> Iterator[tuple[Any, ...]]:
            for number in range(generations):
                at = start + step * number
                customer, account, key = dice.choice(wallets)
                identifier = new_generation_id(int(at.timestamp() * 1e9))
                cost = CHARGE if number % 10 == 0 else Decimal(0)
                if cost:
                    charged.append((identifier, customer, account, at))
                tokens = dice.randrange(5, 4000)
                yield (
                    *(
                        identifier,
                        customer,
                        key,
                        model,
                        price,
                        upstream,
                        "openai",
                        False,
                        "settled",
                        cost,
                        cost,
                        at,
                        at,
                    ),
                    *("upstream", "completed", "stop", tokens, tokens // 4, 0, 0, 0, 0, tokens, tokens // 4, 0),
                    *(cost, cost, dice.randrange(80, 900), dice.randrange(900, 9000), number % 5000 == 0, at, 0),
                )

        copy(
            cursor,
            "proxy_generation (id, customer_id, key_id, model_id, price_id, upstream_id, protocol, streamed, state,"
            " bound, held, created_at, metered_at, usage_source, settlement_reason, finish_reason, input_tokens,"
            " output_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,"
            " native_input_tokens, native_output_tokens, units, upstream_cost, cost, latency_ms, generation_time_ms,"
            " is_flagged, settled_at, failures)",
            rows(),
        )
        copy(
            cursor,
            "billing_hold (key, customer_id, kind, state, amount, bound, captured, reason, created_at, resolved_at)",
            (
                (identifier, customer, "request", "captured", CHARGE, CHARGE, CHARGE, "completed", at, at)
                for identifier, customer, _account, at in charged
            ),
        )
        topups(cursor, house["clearing:stripe:USD"], start)
        copy(
            cursor,
            'billing_transfer (key, kind, debit_id, credit_id, currency, amount, "group", memo, created_at)',
            (
                (f"{identifier}:paid", "usage", account, house["revenue:usage"], "USD", CHARGE, "", "", at)
                for identifier, _customer, account, at in charged
            ),
        )
        waiting(start)
        cursor.execute(
            "UPDATE billing_wallet w SET first_paid_at = now() - interval '30 days', paid_in ="
            " (SELECT coalesce(sum(amount), 0) FROM billing_transfer t"
            "  WHERE t.credit_id = w.paid_account_id AND t.kind = 'topup'), held ="
            " (SELECT coalesce(sum(amount), 0) FROM billing_hold h WHERE h.customer_id = w.customer_id"
            "  AND h.state = 'open'), paid ="
            " (SELECT coalesce(sum(amount), 0) FROM billing_transfer t WHERE t.credit_id = w.paid_account_id)"
            " - (SELECT coalesce(sum(amount), 0) FROM billing_transfer t WHERE t.debit_id = w.paid_account_id)"
        )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM ANALYZE")


def copy(cursor: Any, target: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN") as sink:
        for row in rows:
            sink.write_row(row)


def people(cursor: Any, customers: int, start: datetime) -> None:
    """Users with a confirmed address, their customer, wallet and one key each."""
    times = {"n": customers, "start": start, "step": timedelta(days=DAYS) / customers}
    cursor.execute(
        "INSERT INTO accounts_user (email, name, language, password, is_staff, is_superuser, is_active, date_joined)"
        " SELECT 'person' || n || '@example.com', 'Person ' || n, 'en', '!', false, false, true,"
        " %(start)s + n * %(step)s FROM generate_series(1, %(n)s) n",
        times,
    )
    cursor.execute(
        'INSERT INTO accounts_customer (name, "group", suspended_reason, created_at)'
        " SELECT email, 'default', '', date_joined FROM accounts_user WHERE password = '!' ORDER BY id"
    )
    cursor.execute(
        "INSERT INTO accounts_membership (user_id, customer_id, role, created_at)"
        " SELECT u.id, c.id, 'owner', c.created_at FROM accounts_user u JOIN accounts_customer c ON c.name = u.email"
    )
    cursor.execute(
        'INSERT INTO account_emailaddress (user_id, email, verified, "primary")'
        " SELECT id, email, true, true FROM accounts_user WHERE password = '!'"
    )
    cursor.execute(
        "INSERT INTO billing_ledgeraccount (name, kind, currency, customer_id)"
        " SELECT kind || ':' || c.id, kind, 'USD', c.id"
        " FROM accounts_customer c CROSS JOIN (VALUES ('paid'), ('bonus')) k(kind)"
        " WHERE NOT EXISTS (SELECT FROM billing_ledgeraccount a WHERE a.customer_id = c.id)"
    )
    cursor.execute(
        "INSERT INTO billing_wallet (customer_id, paid_account_id, bonus_account_id, paid, bonus, held, exposure,"
        " paid_in, paid_again, disputed, written_off)"
        " SELECT p.customer_id, p.id, b.id, 0, 0, 0, 0, 0, false, 0, 0 FROM billing_ledgeraccount p"
        " JOIN billing_ledgeraccount b ON b.customer_id = p.customer_id AND b.kind = 'bonus' WHERE p.kind = 'paid'"
        " ON CONFLICT DO NOTHING"
    )
    cursor.execute(
        "INSERT INTO accounts_apikey (customer_id, name, prefix, sha256, is_active, allowed_models, allowed_ips,"
        " created_at, scopes, by_operator) SELECT id, 'main', 'ck-' || lpad(to_hex(id), 4, '0'),"
        " encode(sha256(name::bytea), 'hex'), true,"
        " '{}', '{}', created_at, '{inference,read}', true FROM accounts_customer"
    )


def topups(cursor: Any, clearing: int, start: datetime) -> None:
    """One paid card top-up a customer, and its transfer."""
    cursor.execute(
        "INSERT INTO payments_topup (customer_id, number, method, state, amount, charge_amount, charge_currency,"
        " fx_source, request, reference, transaction_id, checkout_url, qr_code, refunded, refunded_charge, disputed,"
        " problem, expires_at, network_hash, created_at, changed_at, paid_at, polls, is_late, failures, failure)"
        " SELECT id, 'topup_seed' || id, 'stripe', 'paid', %(amount)s, %(amount)s, 'USD', '', '{}', '',"
        " 'pi_seed' || id, '', '', 0, 0, 0, '', created_at, '', created_at, created_at, created_at, 1,"
        " false, 0, ''"
        " FROM accounts_customer ORDER BY id",
        {"amount": TOPUP},
    )
    cursor.execute(
        'INSERT INTO billing_transfer (key, kind, debit_id, credit_id, currency, amount, "group", memo, created_at)'
        " SELECT 'topup:' || t.id, 'topup', %s, w.paid_account_id, 'USD', t.amount, 'topup:' || t.id, t.number,"
        " t.paid_at"
        " FROM payments_topup t JOIN billing_wallet w USING (customer_id) ORDER BY t.id",
        [clearing],
    )


def waiting(start: datetime) -> None:
    """Every 25th customer asks for 5 USD back; every top-up was notified."""
    from accounts.models import Customer
    from billing.models import Hold, RefundRequest
    from payments.models import Notification, TopUp

    amount, later = Decimal("5.00"), start + timedelta(days=DAYS)
    refunds = RefundRequest.objects.bulk_create(
        RefundRequest(
            customer_id=pk, number=f"refund_seed{pk}", amount=amount, freezes=1, created_at=later, due_at=later
        )
        for pk in Customer.objects.order_by("pk").values_list("pk", flat=True)[::25]
    )
    Hold.objects.bulk_create(
        Hold(key=r.key, customer_id=r.customer_id, kind="refund", amount=amount, bound=amount, created_at=later)
        for r in refunds
    )
    Notification.objects.bulk_create(
        (
            Notification(
                provider="stripe",
                key=f"evt_seed{pk}",
                kind="checkout.session.completed",
                order_number=number,
                headers={},
                body="{}",
                outcome="credited",
                received_at=later,
                processed_at=later,
            )
            for pk, number in TopUp.objects.values_list("pk", "number")
        ),
        batch_size=1000,
    )


def totals(*, days: int = 400, customers: int = 2_000) -> None:
    """The margin's totals as of ten million requests, for so many customers and sixty models at an upstream, up to
    today. They are of no requests in the database: the audit would say so.
    """
    from django.db import connection, transaction

    from proxy.models import Model, Upstream

    Model.objects.bulk_create(Model(slug=f"seed/model-{number}", is_active=False) for number in range(60))
    figures = "requests, charged, corrected, bonus, listed, purchase, unknown, unknown_listed, unrated"
    values = "{n}, {n} * 0.00125, 0, {n} * 0.0001, {n} * 0.00115, {n} * (0.0008 + random() * 0.0005), 0, 0, 0"
    day = "current_date - d FROM generate_series(0, %s) d"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            f"INSERT INTO proxy_marginday (model_id, upstream_id, {figures}, day)"
            f" SELECT m.id, %s, {values.format(n=416)}, {day}, proxy_model m WHERE m.slug LIKE 'seed/model-%%'",
            [Upstream.objects.get(name="seed").pk, days - 1],
        )
        cursor.execute(
            f"INSERT INTO proxy_customermarginday (customer_id, {figures}, day)"
            f" SELECT c.id, {values.format(n=12)}, {day}, (SELECT id FROM accounts_customer ORDER BY id LIMIT %s) c",
            [days - 1, customers],
        )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM ANALYZE proxy_marginday, proxy_customermarginday")


def a_model(cursor: Any, start: datetime) -> tuple[int, int, int]:
    """One upstream, a model of it and its price, as their ids."""
    from proxy.models import Model, Price, Upstream

    upstream = Upstream.objects.create(name="seed", protocol="openai", base_url="http://127.0.0.1:9/v1")
    model = Model.objects.create(slug="seed/model", name="Seed", max_output_tokens=4096)
    price = Price.objects.create(
        model=model, version=1, billing="per_token", rates={"input": "0", "output": "0"}, margin=1, created_at=start
    )
    return model.pk, price.pk, upstream.pk


if __name__ == "__main__":
    main()
