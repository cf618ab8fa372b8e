"""What upstreams take is posted after settlement, once, and whatever fails there keeps no charge and no hold."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from billing import rates
from billing.audit.run import audit
from billing.models import Hold, Transfer
from core.arrays import columns
from payments.models import ExchangeRate
from payments.topups import fx
from proxy.models import Attempt, Generation, PurchaseBatch
from proxy.prices.sums import Cost
from proxy.prices.usage import Usage
from proxy.purchases import dollars, posting
from proxy.settlement import metered, settle
from tests.conftest import NOW
from tests.proxy.purchases.conftest import CHARGED, LIST, TOKENS, load, owed, purchases

YUAN = {"input": "7", "output": "28"}
"""A request of 2,000 tokens in and 500 out: 0.028 yuan."""
LATER = NOW + timedelta(seconds=5)
IN_FLIGHT = {"is_settled": False, "state": "held", "metered_at": None, "usage_source": "none", "input_tokens": 0}


def post() -> int:
    return posting.post_all_purchases(now=LATER)


def test_without_a_purchase_price_a_request_costs_the_list_price(answered):
    load()
    one = answered()
    assert post() == 1
    assert purchases() == [("expense:upstream:main:USD", "payable:upstream:main:USD", "USD", LIST)]
    one.refresh_from_db()
    assert (one.purchase_cost, one.purchase_currency, one.purchase_usd) == (LIST, "USD", LIST)
    assert one.cost == CHARGED
    assert not audit().drifts


def test_a_purchase_price_is_paid_in_its_upstreams_currency_at_the_newest_rate_however_old(answered, settings):
    settings.FX_RATE_MAX_AGE_DAYS = 1
    load(domestic=YUAN)
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=NOW - timedelta(days=400))
    one = answered(upstream="domestic")
    post()
    assert owed() == {"payable:upstream:domestic:CNY": Decimal("0.02800000")}
    one.refresh_from_db()
    assert (one.purchase_cost, one.purchase_currency) == (Decimal("0.02800000"), "CNY")
    assert one.purchase_usd == Decimal("0.00400000")
    assert not PurchaseBatch.objects.get().lacks_rate
    assert not audit().drifts


def test_without_any_rate_it_is_posted_all_the_same_and_its_batch_says_so(answered, settings):
    settings.USD_CNY_RATE = None
    ExchangeRate.objects.all().delete()
    load(domestic=YUAN)
    one = answered(upstream="domestic")
    post()
    one.refresh_from_db()
    assert (one.purchase_cost, one.purchase_usd) == (Decimal("0.02800000"), None)
    assert PurchaseBatch.objects.get().lacks_rate


def test_its_usd_is_filled_in_once_by_the_first_rate_and_nothing_else_changes(answered, settings):
    settings.USD_CNY_RATE = None
    ExchangeRate.objects.all().delete()
    load(domestic=YUAN)
    dear, cheap = answered(upstream="domestic"), answered()
    post()
    books = purchases()
    assert dollars.fill_in(now=LATER) == 0
    fx.set_rate(Decimal("3.00"), source="test", by=None, now=LATER)
    assert dollars.fill_in(now=LATER) == 1
    fx.set_rate(Decimal("7.00"), source="test", by=None, now=LATER + timedelta(seconds=1))
    assert dollars.fill_in(now=LATER + timedelta(seconds=2)) == 0
    worth = dict(Generation.objects.values_list("pk", "purchase_usd"))
    assert worth == {dear.pk: Decimal("0.00933333"), cheap.pk: LIST}
    assert not PurchaseBatch.objects.get().lacks_rate
    assert purchases() == books
    assert not audit().drifts


def test_what_is_settled_together_and_apart_is_one_transfer_by_upstream_and_currency(answered):
    load(domestic=YUAN)
    for upstream in ("main", "main", "domestic", "main"):
        answered(upstream=upstream)
    assert PurchaseBatch.objects.count() == 4
    assert post() == 4
    batch = PurchaseBatch.objects.get()
    assert set(Transfer.objects.filter(kind="purchase").values_list("key", "amount")) == {
        (f"purchase:{batch.pk}:main:USD", 3 * LIST),
        (f"purchase:{batch.pk}:domestic:CNY", Decimal("0.02800000")),
    }
    assert set(Generation.objects.values_list("purchase_batch", flat=True)) == {batch.pk}
    assert not audit().drifts


def test_run_again_it_posts_nothing(answered):
    load()
    answered()
    assert (post(), post()) == (1, 0)
    assert len(purchases()) == 1


def test_killed_before_its_commit_it_posts_once_the_next_time(answered, monkeypatch):
    load()
    answered()

    def die(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(posting, "post_all", die)
        with pytest.raises(KeyboardInterrupt):
            post()
    assert not purchases()
    post()
    assert [amount for *_, amount in purchases()] == [LIST]


def test_a_batch_that_cannot_be_posted_stops_no_other_and_keeps_no_charge(answered):
    load()
    bad = answered()
    with connection.cursor() as cursor:  # what nothing of ours does
        cursor.execute("UPDATE proxy_generation SET price_id = 0 WHERE id = %s", [bad.pk])
    answered()
    for _ in range(3):
        post()
    assert [amount for *_, amount in purchases()] == [LIST]
    waiting = PurchaseBatch.objects.get(posted_at=None)
    assert (waiting.generations, waiting.failures) == ([bad.pk], 1)
    bad.refresh_from_db()
    assert (bad.state, bad.cost, Hold.objects.get(key=bad.pk).state) == ("settled", CHARGED, "captured")


def test_of_a_batch_with_a_bad_request_all_others_are_posted(answered):
    load()
    ones = [answered(is_settled=False) for _ in range(7)]
    settle.settle_all(now=NOW)
    bad = ones[4]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_generation SET price_id = 0 WHERE id = %s", [bad.pk])
    for _ in range(2):
        post()
    assert owed() == {"payable:upstream:main:USD": 6 * LIST}
    waiting = PurchaseBatch.objects.get(posted_at=None)
    assert (waiting.generations, waiting.failures) == ([bad.pk], 1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_generation SET price_id = %s WHERE id = %s", [bad.price_id, bad.pk])
    PurchaseBatch.objects.filter(posted_at=None).update(created_at=Now() - timedelta(minutes=1))
    post()
    assert owed() == {"payable:upstream:main:USD": 7 * LIST}
    assert not audit().drifts


def test_a_mistake_of_ours_in_one_request_stops_no_other(answered, monkeypatch):
    load()
    bad, good = answered(), answered()
    priced = posting.Prices.purchase_of

    def purchase_of(self, one):
        return priced(self, one) if one.pk != bad.pk else one + 1

    monkeypatch.setattr(posting.Prices, "purchase_of", purchase_of)
    for _ in range(2):
        post()
    assert owed() == {"payable:upstream:main:USD": LIST}
    good.refresh_from_db()
    assert good.purchase_cost == LIST
    assert PurchaseBatch.objects.get(posted_at=None).generations == [bad.pk]


def test_killed_while_a_batch_is_divided_it_posts_the_rest_the_next_time(answered, monkeypatch):
    load()
    ones = [answered(is_settled=False) for _ in range(4)]
    settle.settle_all(now=NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_generation SET price_id = 0 WHERE id = %s", [ones[0].pk])
    alone, divided = posting._post_alone, []

    def die_after_the_first(pk, *, now):
        if divided:
            raise KeyboardInterrupt
        divided.append(pk)
        alone(pk, now=now)

    with monkeypatch.context() as patch:
        patch.setattr(posting, "_post_alone", die_after_the_first)
        with pytest.raises(KeyboardInterrupt):
            post()
    assert sorted(len(batch.generations) for batch in PurchaseBatch.objects.all()) == [2, 2]
    post()
    assert owed() == {"payable:upstream:main:USD": 3 * LIST}


def test_what_could_not_be_posted_is_once_its_cause_is_gone(answered):
    load()
    one = answered()
    PurchaseBatch.objects.update(failures=2, created_at=Now() - timedelta(minutes=3))
    assert post() == 0
    PurchaseBatch.objects.update(created_at=Now() - timedelta(minutes=5))
    assert post() == 1
    one.refresh_from_db()
    assert one.purchase_cost == LIST


def test_a_batch_that_failed_hundreds_of_times_stops_no_other_and_is_still_tried(answered):
    load()
    bad = answered()
    PurchaseBatch.objects.update(failures=200, created_at=Now() - timedelta(days=27))
    answered()
    assert post() == 1
    assert PurchaseBatch.objects.get(posted_at=None).generations == [bad.pk]
    PurchaseBatch.objects.filter(posted_at=None).update(created_at=Now() - timedelta(days=28))
    assert post() == 1


def test_the_version_that_applied_when_it_was_held_counts(answered):
    load(main=[{"input": "1", "output": "1"}, {"input": "2", "output": "2", "applies_from": "2099-01-01"}])
    early = answered(is_settled=False)
    late = answered(is_settled=False, at=datetime(2099, 1, 1, tzinfo=UTC))
    settle.settle_all(now=LATER)
    post()
    costs = dict(Generation.objects.values_list("pk", "purchase_cost"))
    assert costs == {early.pk: Decimal("0.00250000"), late.pk: Decimal("0.00500000")}


def test_a_version_set_while_a_request_was_on_its_way_does_not_count(answered):
    load(main={"input": "1", "output": "1"})
    one = answered()
    load(main={"input": "2", "output": "2"}, at=NOW + timedelta(seconds=1))
    next_one = answered(at=NOW + timedelta(seconds=2))
    post()
    costs = dict(Generation.objects.values_list("pk", "purchase_cost"))
    assert costs == {one.pk: Decimal("0.00250000"), next_one.pk: Decimal("0.00500000")}


def test_a_request_held_before_there_was_a_purchase_price_costs_the_list_price(answered):
    load()
    answered()
    load(main={"input": "2", "output": "2"}, at=NOW + timedelta(seconds=1))
    post()
    assert owed() == {"payable:upstream:main:USD": LIST}


def test_a_request_that_asked_for_a_cheap_tier_costs_the_house_what_was_served(answered):
    flex = {"input": "1.5", "output": "7.5"}
    load(main={"input": "3", "output": "15", "service_tiers": {"flex": flex}})
    for served in ("flex", "default", ""):
        answered(asked_tier="flex", service_tier=served)
    post()
    costs = list(Generation.objects.order_by("pk").values_list("purchase_cost", flat=True))
    assert costs == [LIST / 2, LIST, LIST / 2]


def test_what_was_charged_nothing_costs_the_house_all_the_same(answered):
    load()
    answered(cost=Decimal(0), is_flagged=True)
    post()
    assert owed() == {"payable:upstream:main:USD": LIST}


def test_what_nobody_knows_the_usage_of_costs_nothing(answered):
    load()
    answered(usage_source="none", cost=Decimal(0), upstream_cost=Decimal(0), usage=Usage())
    assert post() == 1
    assert not purchases()
    assert not audit().drifts


@pytest.mark.parametrize(
    "usage",
    [Usage(input_tokens=100_001, output_tokens=1), Usage(input_tokens=1, output_tokens=90_000_000)],
    ids=["above the context window", "above the bound"],
)
def test_a_claim_that_cannot_be_believed_stays_out_of_the_books_and_is_flagged(answered, usage):
    load()
    one = answered(usage=usage)
    post()
    assert not purchases()
    one.refresh_from_db()
    assert (one.purchase_cost, one.is_flagged, one.purchase_batch) == (None, True, PurchaseBatch.objects.get().pk)


def release_then_hear(one: Generation, usage: Usage) -> None:
    """The hold of `one` goes back, and then its upstream tells this usage."""
    settle.release([one.pk], reason="abandoned", now=NOW)
    assert not PurchaseBatch.objects.exists()
    late = metered.Metered(
        *(one.pk, one.upstream_id, "upstream", "completed", "stop", usage, usage),
        *(Cost(upstream=LIST, charged=CHARGED), 1, 2),
    )
    with connection.cursor() as cursor:
        cursor.execute(metered.TOO_LATE, columns([late.row()]))


def test_usage_that_comes_after_a_release_is_paid_for(answered):
    load()
    one = answered(**IN_FLIGHT)
    release_then_hear(one, TOKENS)
    assert post() == 1
    assert owed() == {"payable:upstream:main:USD": LIST}
    late = Attempt.objects.get()
    assert (late.generation_id, late.number, late.outcome, late.is_known) == (one.pk, 0, "late", True)
    assert (late.input_tokens, late.purchase_cost, late.upstream.name) == (TOKENS.input_tokens, LIST, "main")
    one.refresh_from_db()
    assert (one.input_tokens, one.is_flagged, one.purchase_batch) == (TOKENS.input_tokens, True, None)
    assert not audit().drifts


def test_usage_that_comes_after_a_release_and_cannot_be_believed_stays_out_of_the_books(answered):
    load()
    one = answered(**IN_FLIGHT)
    release_then_hear(one, Usage(input_tokens=1, output_tokens=90_000_000))
    post()
    assert not purchases()
    late = Attempt.objects.get()
    assert (late.purchase_cost, late.purchase_batch) == (None, PurchaseBatch.objects.get().pk)


def test_a_quarantined_request_that_is_released_is_paid_for(answered):
    load()
    one = answered(is_settled=False)
    Generation.objects.filter(pk=one.pk).update(state="quarantined")
    settle.release_quarantined(one.pk, now=NOW)
    post()
    assert owed() == {"payable:upstream:main:USD": LIST}


def test_a_price_by_the_call_counts_one_where_the_model_is_sold_by_tokens(answered):
    load(main={"request": "0.002"})
    answered()
    post()
    assert owed() == {"payable:upstream:main:USD": Decimal("0.00200000")}


def test_a_currency_that_nobody_knows_the_rate_of_has_none():
    assert rates.newest("USD", now=NOW) == 1
    assert rates.newest("XAF", now=NOW) is None


def test_the_audit_looks_at_every_batch_few_of_them_a_page(answered, monkeypatch):
    monkeypatch.setattr("proxy.purchases.audit.MOST_BATCHES", 1)
    load()
    ones = []
    for _ in range(3):
        ones.append(answered())
        post()
    Generation.objects.filter(pk__in=[ones[0].pk, ones[2].pk]).update(purchase_cost=1)
    with CaptureQueriesContext(connection) as asked:
        assert len(audit().drifts) == 2
    pages = [query for query in asked if "b.posted_at IS NOT NULL" in query["sql"]]
    assert len(pages) == 3


def test_the_audit_finds_what_was_posted_otherwise_than_it_cost(answered):
    load()
    one = answered()
    post()
    batch = PurchaseBatch.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE proxy_generation SET purchase_cost = 1 WHERE id = %s", [one.pk])
    key = f"purchase:{batch.pk}:main:USD"
    assert audit().drifts == [f"{key} is 1.00000000 by its requests: the books have {LIST:f}"]
    PurchaseBatch.objects.all().delete()
    assert f"{key} was posted for no batch" in audit().drifts


def test_the_audit_finds_every_transfer_of_no_batch_few_of_them_a_page(answered, monkeypatch):
    monkeypatch.setattr("billing.audit.run.PAGE", 2)
    load()
    for _ in range(3):
        answered()
        post()
    keys = sorted(Transfer.objects.filter(kind="purchase").values_list("key", flat=True))
    PurchaseBatch.objects.all().delete()
    with CaptureQueriesContext(connection) as asked:
        drifts = audit().drifts
    assert [drift for drift in drifts if drift.endswith("no batch")] == [
        f"{key} was posted for no batch" for key in keys
    ]
    assert len([query for query in asked if "NOT EXISTS (SELECT FROM proxy_purchasebatch" in query["sql"]]) == 2
