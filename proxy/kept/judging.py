"""What a job's usage is judged by once its request has left the gateway: stored with it, and read back."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson

from proxy.kept.jobs import Open
from proxy.models import Generation, Upstream
from proxy.prices.catalog import Destination, destination_at
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import Call, Reported
from proxy.relay.record import NOTHING, Held, recorded
from proxy.settlement.metered import Metered

Source = Generation.UsageSource


def stored(held: Held, call: Call) -> bytes:
    """As a job's row has it. The price is its request's; `fair` is what it used, fairly counted, if nobody tells."""
    fair = call.fair or Usage(input_tokens=call.material.fair)
    said = {
        "terms": dict(held.terms),
        "least": held.least and dict(held.least),
        "tier": held.asked_tier,
        "left_out": held.left_out,
        "factor": str(held.price.factor),
        "fair": {name: value for name, value in asdict(fair).items() if value},
    }
    return orjson.dumps(said, default=str)


def destination_of(job: Open) -> Destination:
    """Where it is worked on, whatever the catalog has become."""
    upstream = Upstream.objects.get(pk=job.upstream_id)
    return destination_at(upstream, model="", upstream_model=job.upstream_model)


def record_of(job: Open, destination: Destination, reported: Reported, *, reason: str) -> Metered:
    """What METER writes: the upstream's usage, or the fair count of the prompt where it tells none."""
    generation = Generation.objects.select_related("price").get(pk=job.generation_id)
    said = job.asked
    held = Held(
        generation_id=job.generation_id,
        bound=generation.bound,
        most=generation.bound,
        price=PriceVersion.from_row(generation.price).times(Decimal(said["factor"])),
        terms=said["terms"],
        least=said["least"],
        asked_tier=said["tier"],
        left_out=said["left_out"],
    )
    source, usage = Source.UPSTREAM, reported.usage
    if usage is None:
        source, usage = Source.ESTIMATED, fair_usage(said["fair"])
    record, _cost = recorded(
        held,
        destination,
        reported,
        {},
        source=source,
        usage=usage or NOTHING,
        reason=reason,
        latency_ms=job.age_ms,
        generation_time_ms=job.age_ms,
    )
    return record


def fair_usage(said: Mapping[str, Any]) -> Usage:
    units = Decimal(said["units"]) if "units" in said else Decimal(0)
    return Usage(**{**said, "units": units})
