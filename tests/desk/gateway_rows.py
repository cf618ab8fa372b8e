"""One of everything that the desk shows of the gateway, beside requests and their models."""

from datetime import datetime
from decimal import Decimal

from accounts.models import Customer, User
from proxy.models import Attempt, Claim, Lease, Model, PriceProposal, Rerate, Upstream, UpstreamBill
from proxy.purchases import margin
from proxy.rerating import deciding


def of_the_gateway(customer: Customer, chief: User, *, now: datetime) -> None:
    """Rows about the first model of the catalog and its upstream."""
    model, upstream, one = Model.objects.order_by("pk")[0], Upstream.objects.get(), Decimal(1)
    Lease.objects.create(host="here", started_at=now, renewed_at=now)
    PriceProposal.objects.create(model=model, listed_as="a/m", prices=[{"input": "1"}], reason="x", proposed_by=chief)
    about = {"model": model, "price": model.prices.latest("version"), "first_day": now.date(), "last_day": now.date()}
    deciding.propose(**about, reason="x", by=chief, now=now)
    Rerate.objects.update(state="proposed")
    margin.add([margin.Row(now.date(), model.pk, upstream.pk, customer.pk, charged=one, listed=one, purchase=one)])
    tried = {"model": model, "upstream": upstream, "outcome": "refused", "is_known": False}
    Attempt.objects.create(generation_id="gen-x", number=1, ended_at=now, **tried)
    told = {"model": model, "upstream": upstream, "why": "bound", "claimed": {"input_tokens": 1}}
    Claim.objects.create(generation_id="gen-x", ended_at=now, **told)
    UpstreamBill.objects.create(upstream=upstream, first=now.date(), last=now.date(), sha256="0" * 64, state="compared")
