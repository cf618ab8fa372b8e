"""`make bench-desk`: every list, search and page of the staff desk over a business of some size, timed.

Seeds a database of its own first (see `bench.seed`). Prints the fastest of three tries in milliseconds and the number
of queries, of lists and of what is slow; exits 1 when a page takes longer than the limit.
"""

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any

import django

LIMIT_MS = 200.0
TRIES = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.desk", description=__doc__)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--generations", type=int, default=1_000_000)
    arguments = parser.parse_args()
    os.environ.update(DJANGO_SETTINGS_MODULE="chuizi.settings", LOG_LEVEL="ERROR")
    django.setup()
    from django.core.management import call_command

    from accounts.models import Customer
    from bench import seed

    call_command("migrate", verbosity=0)
    if not Customer.objects.exists():
        began = time.monotonic()
        seed.fill(customers=arguments.customers, generations=arguments.generations)
        print(f"seeded in {time.monotonic() - began:.0f} s")
        call_command("audit_ledger")
        seed.totals()
    slow = [name for name, milliseconds in timed() if milliseconds > LIMIT_MS]
    if slow:
        sys.exit(f"Longer than {LIMIT_MS:.0f} ms: {', '.join(slow)}")


def timed() -> Iterator[tuple[str, float]]:
    """Each page's path and the fastest of its tries, milliseconds."""
    from django.core.cache import cache
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    desk = Client(headers={"host": "localhost"})
    desk.force_login(superuser())
    desk.get("/admin/")
    for path in pages():
        took, queries = math.inf, 0
        for _try in range(TRIES):
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                answer = desk.get(path)
                took = min(took, (time.perf_counter() - began) * 1e3)
            queries = len(captured)
            if answer.status_code not in (200, 302):  # a list sends away from a page that it does not have
                sys.exit(f"{path} answers {answer.status_code}")
        if took > LIMIT_MS or path.count("/") < 4 or "?" not in path:
            print(f"{took:>8.0f} ms {queries:>4} queries  {path}{'  <-- slow' if took > LIMIT_MS else ''}", flush=True)
        yield path, took


def superuser() -> Any:
    from accounts.models import User

    return User.objects.filter(email="bench@example.com").first() or User.objects.create_superuser("bench@example.com")


def pages() -> Iterator[str]:
    """The first page with its search, then each list: plain, by every filter, deep, searched; and one row of each."""
    from django.contrib import admin
    from django.urls import reverse

    from accounts.models import ApiKey, Customer
    from core.clock import database_now
    from payments.models import TopUp
    from proxy.models import Generation
    from proxy.purchases.margin_figures import MOST_DAYS

    customer = Customer.objects.order_by("pk")[5]
    email = customer.name
    names = (
        *(email, "nobody@example.com", str(ApiKey.objects.order_by("pk")[7].prefix)),
        *(Generation.objects.order_by("-pk")[3].pk, TopUp.objects.order_by("pk")[3].transaction_id, "no-such-thing"),
    )
    yield "/admin/"
    for name in names:
        yield f"/admin/?q={name}"
    yield reverse("admin:accounts_customer_story", args=[customer.pk])
    margin, today = reverse("admin:proxy_marginday_changelist"), database_now().astimezone(UTC).date()
    for by, days in MOST_DAYS.items():
        yield f"{margin}?by={by}"
        yield f"{margin}?by={by}&first={today - timedelta(days=days - 1)}"
    for model, model_admin in admin.site._registry.items():
        label = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        path = reverse(f"{label}_changelist")
        yield path
        yield f"{path}?p=20" if model_admin.show_full_result_count is False else f"{path}?p=2"
        for filter_ in model_admin.list_filter:
            if isinstance(filter_, str):
                field = model._meta.get_field(filter_)
                choices = getattr(field, "flatchoices", None) or (
                    [(1, ""), (0, "")] if field.get_internal_type() == "BooleanField" else []
                )
                for value, _label in choices:
                    yield f"{path}?{filter_}__exact={value}"
        if model_admin.search_fields:
            for name in names:
                yield f"{path}?q={name}"
        newest = model._default_manager.order_by("-pk").first()
        if newest is not None:
            yield reverse(f"{label}_change", args=[newest.pk])


if __name__ == "__main__":
    main()
