"""What turns the gateway's figures of the staff's first page red, and what cures them."""

from decimal import Decimal

from django.utils import timezone

from billing.books.ledger import Posting, house_account, post
from proxy.health import rows as health
from proxy.health.tally import Last
from proxy.models import Claim, Generation, Lease, Model, PurchaseBatch, Rerate, Upstream
from proxy.prices.loading import set_cost
from proxy.purchases.posting import post_all_purchases
from proxy.rerating import deciding
from proxy.settlement.settle import settle_all
from tests.desk.first_page.red_cases import CASES, HOUR, red

__all__ = ["CASES"]


@red("Gateway / Settlement lag")
def nobody_settles(world):
    world.make_request(state="metered", at=timezone.now() - HOUR)
    yield
    settle_all(now=timezone.now())


@red("Gateway / Gateways taken for dead that live")
def a_gateway_that_was_taken_for_dead_lives(world):
    now = timezone.now()
    Lease.objects.create(host="here", started_at=now, renewed_at=now, swept_at=now - HOUR)
    yield
    Lease.objects.all().delete()


@red("Gateway / Models without a price")
def a_model_has_no_price(world):
    model = Model.objects.create(slug="a/unpriced")
    yield
    model.delete()


@red("Gateway / Models sold below cost")
def a_model_is_sold_below_cost(world):
    model, upstream = Model.objects.get(slug="openai/gpt-4.1-nano"), Upstream.objects.get()
    set_cost(model, upstream, {"input": "0.2"}, where="nano")
    yield
    set_cost(model, upstream, None, where="nano")


@red("Gateway / Purchases not posted")
def what_an_upstream_takes_is_not_posted(world):
    world.make_request(at=timezone.now())
    PurchaseBatch.objects.update(failures=1)
    yield
    PurchaseBatch.objects.update(failures=0)
    post_all_purchases(now=timezone.now())


@red("Prepaid credit at upstreams / main")
def credit_at_an_upstream_runs_low(world):
    Upstream.objects.update(credit_alarm=10)
    yield
    payable, bank = house_account("payable:upstream:main:USD"), house_account("bank:USD")
    post([Posting("entry:1", "entry", payable, bank, Decimal(10))], now=timezone.now())


@red("Gateway / Claims not believed, 30 days")
def an_upstream_claims_what_cannot_be(world):
    request = world.make_request(at=timezone.now())
    claim = Claim.objects.create(
        generation_id=request.pk, model=request.model, upstream=Upstream.objects.get(), ended_at=timezone.now(),
        why="window", claimed={"input_tokens": 1},
    )  # fmt: skip
    yield
    claim.delete()


@red("Gateway / Re-ratings that do not go on")
def a_rerating_does_not_go_on(world):
    model, day = Model.objects.get(slug="openai/gpt-4.1-nano"), timezone.now().date()
    about = {"model": model, "price": model.prices.get(), "first_day": day, "last_day": day, "reason": "test"}
    rerate = deciding.propose(**about, by=world.chief, now=timezone.now())
    Rerate.objects.update(problem="LookupError")
    yield
    deciding.refuse(proposal_id=rerate.pk, why="test", by=world.chief, now=timezone.now())


@red("Gateway / Quarantined, and what they hold")
def a_request_is_in_quarantine(world):
    request = world.make_request(at=timezone.now())
    Generation.objects.filter(pk=request.pk).update(state="quarantined")
    yield
    Generation.objects.filter(pk=request.pk).update(state="settled")


@red("Gateway / Flagged: orphans, capped, quarantined")
def a_request_is_flagged(world):
    request = world.make_request(at=timezone.now())
    Generation.objects.filter(pk=request.pk).update(is_flagged=True)
    yield
    Generation.objects.filter(pk=request.pk).update(is_flagged=False)


@red("Upstreams / Upstreams that fail")
def an_upstream_does_not_know_its_key(world):
    upstream, now = Upstream.objects.get(), timezone.now()
    health.write({}, {upstream.pk: Last(failed_at=now, status=401, text="no such key")}, cooling={})
    yield
    health.write({}, {upstream.pk: Last(answered_at=now + HOUR)}, cooling={})


@red("Requests, 24 hours / Margin")
def requests_cost_more_than_they_bring(world):
    request = world.make_request(at=timezone.now())
    Generation.objects.filter(pk=request.pk).update(upstream_cost=5)
    yield
    Generation.objects.filter(pk=request.pk).update(upstream_cost=0)
