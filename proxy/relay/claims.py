"""What an upstream says of a request beside the answer: its own id for it, its cost, the model and the tier. Pure.

Nothing of it is billed. What contradicts the price that the request was held at is flagged, for staff to look at.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from proxy.models import Kind
from proxy.prices.catalog import Destination
from proxy.prices.versions import SERVICE_TIER, PriceVersion
from proxy.protocols.base import Reported, amount_of, printable

REQUEST_IDS = ("x-generation-id", "x-oneapi-request-id", "x-request-id", "request-id")
"""Another Chuizi's and new-api's own first: by those they bill."""
STATED_COSTS = ("x-litellm-response-cost",)
AGGREGATORS = frozenset({Kind.OPENROUTER, Kind.LITELLM, Kind.RELAY})
"""They choose among providers, and may choose another model."""
DEARER_TIERS = frozenset({"priority", "fast", "performance", "turbo"})
"""Sold above the price that the catalog holds requests at."""
TIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,19}", re.ASCII)
SNAPSHOT = re.compile(r"[-@](\d{3,8}|\d{4}-\d{2}(-\d{2})?|latest)")
"""What may follow a model's name without being another model: the day of its snapshot."""


def request_id(headers: Mapping[str, str], reported: Reported) -> str:
    """The upstream's id for the request, which its support asks for: a header's, else the answer's own."""
    for name in REQUEST_IDS:
        if named := printable(headers.get(name, "")):
            return named
    return printable(reported.upstream_id)


def stated_cost(headers: Mapping[str, str], reported: Reported) -> Decimal | None:
    """What the upstream says that it charges: in the answer, else in a header."""
    if reported.stated_cost is not None:
        return reported.stated_cost
    for name in STATED_COSTS:
        if (cost := amount_of(headers.get(name))) is not None:
            return cost
    return None


def served_tier(reported: Reported) -> str:
    """The service tier that the answer names, "" where that is none: it is shown to the caller."""
    tier = reported.service_tier
    return tier if TIER.fullmatch(tier) else ""


def contradicts(destination: Destination, reported: Reported, price: PriceVersion) -> bool:
    """Whether another model answered than was asked for, or one at a dearer tier than the price knows."""
    tier = reported.service_tier
    if tier.lower() in DEARER_TIERS and not price.varies_by({SERVICE_TIER: tier}):
        return True
    return destination.kind in AGGREGATORS and not is_same_model(destination.upstream_model, reported.model)


def is_same_model(asked: str, answered: str) -> bool:
    """Whether these name one model, with or without its provider, its variant (`:free`) and a snapshot's day."""
    if not answered:
        return True
    one, other = (name.rpartition("/")[2].partition(":")[0].lower() for name in (asked, answered))
    short, long = sorted((one, other), key=len)
    rest = long.removeprefix(short)
    return not rest or (rest != long and SNAPSHOT.fullmatch(rest) is not None)
