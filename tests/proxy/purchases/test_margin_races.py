"""Charges given back, and purchases posted, at the same time: each is in the totals once."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import Sum

from billing.audit.run import audit
from billing.books.reversals import reverse
from proxy.models import CustomerMarginDay, MarginDay, PurchaseBatch
from proxy.purchases import posting
from tests.billing.conftest import failures, in_threads
from tests.conftest import NOW
from tests.proxy.purchases.conftest import CHARGED, load

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 12


def test_charges_that_are_given_back_while_their_purchases_are_posted_count_once(answered, monkeypatch):
    monkeypatch.setattr(posting, "MOST_REQUESTS", 3)
    load(domestic={"input": "1", "output": "2"})
    names = itertools.cycle(("main", "domestic", "main"))
    ids = [answered(upstream=next(names)).pk for _ in range(MANY)]
    assert PurchaseBatch.objects.count() == MANY

    def give_back(chosen: list[str]) -> None:
        for pk in chosen:
            reverse(generation_id=pk, now=NOW)

    def post() -> None:
        posting.post_all_purchases(now=NOW + timedelta(seconds=1))

    done = in_threads(lambda: give_back(ids), post, lambda: give_back(ids[::-1]), post)
    assert failures(done) == []
    post()
    for rows in (MarginDay.objects, CustomerMarginDay.objects):
        sums = rows.aggregate(Sum("requests"), Sum("charged"), Sum("corrected"), Sum("bonus"))
        assert list(sums.values()) == [MANY, MANY * CHARGED, -MANY * CHARGED, Decimal(0)]
    assert audit().drifts == []
