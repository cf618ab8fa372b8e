"""Databases that earlier versions made go on with the migrations of today.

`first_era.sql.xz` is a database of commit d23c010, the last before the second era: five customers who paid on two days,
used up, took back and disputed, made by that version's own code against the sandbox and dumped with
`pg_dump --inserts`. Ada paid twice and had a request given back; Ben's refund failed, and a part of another was left
planned; Dan's is parked; Eve lost a dispute and the house bears it; Zoe's dispute is open.
"""

import lzma
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.upgrades import LAST_WITH_EACH_STEP
from tests import template

ROOT = template.ROOT
DUMP = Path(__file__).with_name("first_era.sql.xz")

SCHEMA = """
SELECT 'table', relname::text, concat_ws(' ', relkind, relpersistence, reloptions)
FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column', attrelid::regclass || '.' || attname, concat_ws(' ', attnum - (
  SELECT count(*) FROM pg_attribute gone
  WHERE gone.attrelid = a.attrelid AND gone.attisdropped AND gone.attnum BETWEEN 1 AND a.attnum
 ), format_type(atttypid, atttypmod), attnotnull, attidentity, attstattarget, attcollation::regcollation,
 pg_get_expr(adbin, adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', tgrelid::regclass || '.' || tgname,
 concat(pg_get_triggerdef(t.oid), obj_description(t.oid, 'pg_trigger'))
FROM pg_trigger t WHERE NOT tgisinternal
UNION ALL
SELECT 'function', proname::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"""

CAST = r"::(character varying|text)(\[\])?|[()]"


@contextmanager
def database(name: str, *, like: str = "template1") -> Iterator[str]:
    """A database of this name on the tests' server, a copy of another, dropped at the end."""
    with psycopg.connect(template.database_url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}")  # type: ignore[call-overload]
        try:
            yield name
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def rows(name: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(template.database_url(name)) as connection:
        cursor = connection.execute(question)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def schema(name: str) -> list[tuple[str, str, str]]:
    """Its tables and what is about them. Casts and brackets are left out, which a dump writes otherwise."""
    return sorted((kind, one, re.sub(CAST, "", definition)) for kind, one, definition in rows(name, SCHEMA))


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": template.database_url(name)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def migrate(name: str) -> None:
    done = run(name, "manage.py", "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def first_era() -> Iterator[str]:
    """The database of the first era, migrated."""
    with database(f"first_era_{os.getpid()}") as name:
        rows(name, lzma.decompress(DUMP.read_bytes()).decode())
        # As it was on the day after, whenever the test runs.
        rows(name, "UPDATE payments_refundpart SET failed_at = now() - interval '1 day' WHERE state = 'failed'")
        migrate(name)
        yield name


@pytest.fixture
def copy() -> Iterator[str]:
    """A database with every migration applied."""
    with database(f"upgrading_{os.getpid()}", like=template.made()) as name:
        yield name


def test_the_books_of_the_first_era_are_in_balance_afterwards(first_era):
    done = run(first_era, "manage.py", "audit_ledger")
    assert (done.returncode, done.stdout.strip()) == (0, "audited 5 customers: clean"), done.stdout + done.stderr


def test_a_database_of_the_first_era_ends_with_the_schema_of_a_new_one(first_era):
    assert schema(first_era) == schema(template.made())


def test_wallets_learn_what_was_paid_in_disputed_and_written_off(first_era):
    question = (
        "SELECT name, paid_in, disputed, written_off, paid_again, first_paid_at IS NOT NULL"
        " FROM billing_wallet JOIN accounts_customer c ON c.id = customer_id ORDER BY name"
    )
    assert rows(first_era, question) == [
        ("Ada", Decimal(35), 0, 0, True, True),
        ("Ben", Decimal(20), 0, 0, False, True),
        ("Dan", Decimal(12), 0, 0, False, True),
        ("Eve", 0, Decimal(20), Decimal(15), False, True),
        ("Zoe", 0, Decimal(30), 0, False, True),
    ]


def test_planned_parts_of_closed_requests_are_dropped_and_failed_and_parked_ones_are_watched(first_era):
    question = "SELECT state, detail, look_at IS NOT NULL FROM payments_refundpart WHERE state <> 'done' ORDER BY id"
    assert rows(first_era, question) == [
        ("failed", "failed expired_or_canceled_card", True),
        ("parked", "ABNORMAL", True),
        ("failed", "the request is sent no longer", False),
    ]


def test_movements_of_disputes_are_booked_in_the_currency_of_their_charge(first_era):
    movements = rows(first_era, "SELECT amount, booked, topup_fee FROM payments_disputemovement ORDER BY id")
    assert movements == [(Decimal(-20), Decimal(-20), 0), (Decimal(-30), Decimal(-30), 0)]


def test_a_request_that_was_given_back_has_a_corrected_charge_of_nothing(first_era):
    costs = rows(first_era, "SELECT cost, corrected_cost FROM proxy_generation ORDER BY id")
    assert costs == [(Decimal(2), None), (Decimal("2.5"), 0), (Decimal(1), None)]


def test_staff_are_given_the_rights_that_came_since(first_era):
    question = """
SELECT DISTINCT codename FROM auth_permission p JOIN auth_group_permissions ON permission_id = p.id
JOIN auth_group g ON g.id = group_id WHERE g.name = 'finance'"""
    assert {("lock_months",), ("post_entries",), ("handle_mail",)} <= set(rows(first_era, question))


STEPS = {
    "accounts": """
        0001_initial 0002_storage 0003_staff 0004_scopes 0005_limits_cache 0006_api_rates 0007_column_names
        0008_security""",
    "billing": """
        0001_initial 0002_storage 0003_refunds 0004_invoices 0005_books 0006_adjustments
        0007_transfer_taken_down 0008_tax_numbers 0009_alerts 0010_periods 0011_entries 0012_paid_in
        0013_small_debts 0014_months 0015_refunds_after_all 0016_mail_put_aside 0017_fee_alone
        0018_column_names""",
    "payments": """
        0001_initial 0002_late_looks 0003_refunds 0004_disputes 0005_statements 0006_limits 0007_roles
        0008_refunds_by_bank 0009_rates 0010_statement_matched 0011_settling 0012_drop_planned_parts
        0013_resolved 0014_disputed_wallets 0015_refunds_that_stay 0016_longer_codes 0017_refunds_after_all
        0018_shared_accounts 0019_topup_fees 0020_watch_failed_parts 0021_settled_currencies 0022_fee_alone
        0023_notifications_looked_at 0024_given_up_days 0025_line_details 0026_second_payments
        0027_column_names""",
    "proxy": """
        0001_initial 0002_storage 0003_catalog_version 0004_uncharged 0005_rights 0006_route_settings
        0007_corrected_cost 0008_quarantine_right 0009_lease_swept_at 0010_service_tier 0011_column_names""",
}
"""What commit 57d634e applied, one by one."""


def test_a_database_where_all_steps_were_applied_one_by_one_is_taken_as_it_is(copy):
    values = ", ".join(f"('{app}', '{name}')" for app, names in STEPS.items() for name in names.split())
    rows(copy, f"DELETE FROM django_migrations WHERE app IN {(*STEPS, 'webhooks')}")  # which came later
    rows(copy, f"INSERT INTO django_migrations (app, name, applied) SELECT *, now() FROM (VALUES {values}) steps")
    done = run(copy, "manage.py", "migrate", "--plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "squashed" not in done.stdout


FIRST = ("app = 'payments' AND name >= '0009'", "payments 0008_refunds_by_bank")
SECOND = ("app IN ('billing', 'proxy') AND name >= '0008'", "billing 0007_transfer_taken_down and proxy 0007_corr")


@pytest.mark.parametrize(("gone", "stands"), [FIRST, SECOND])
def test_a_database_that_stopped_between_two_steps_is_told_the_way(copy, gone, stands):
    rows(copy, f"DELETE FROM django_migrations WHERE name LIKE '%_squashed_%' OR ({gone})")
    before = rows(copy, "SELECT app, name FROM django_migrations")
    command = ("manage.py", "migrate") if gone == FIRST[0] else ("-m", "chuizi.local.prepare")
    done = run(copy, *command)
    assert done.returncode == 1
    assert f"This database stands after {stands}" in done.stderr
    assert f"Check out commit {LAST_WITH_EACH_STEP}" in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(copy, "SELECT app, name FROM django_migrations") == before
