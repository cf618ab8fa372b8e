"""What a customer pays: the catalog's newest prices with the margin, and the factor of a group, in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from accounts.groups import NO_GROUP, CustomerGroup
from proxy.models import Model
from proxy.prices import catalog, versions
from proxy.prices.units import CACHE_READ, INPUT, OUTPUT, PER_TOKEN, UNITS
from proxy.prices.versions import PriceVersion


@dataclass(frozen=True, slots=True)
class Rate:
    """One unit's price in USD, margin included; `name` is the catalog's (`input`, `second`)."""

    name: str
    label: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of requests with more than `above` input tokens."""

    above: int
    rates: Sequence[Rate]


@dataclass(frozen=True, slots=True)
class Variant:
    """The rates of requests with these terms, such as a service tier's; `name` is their values."""

    name: str
    rates: Sequence[Rate]
    tiers: Sequence[Tier]


@dataclass(frozen=True, slots=True)
class Offer:
    """A model on offer. Token and character prices are per million."""

    slug: str
    name: str
    description: str
    context_window: int | None
    max_output_tokens: int | None
    billing: str
    rates: Sequence[Rate]
    tiers: Sequence[Tier]
    variants: Sequence[Variant] = ()
    deprecated_on: date | None = None
    retired_on: date | None = None

    @property
    def provider(self) -> str:
        return self.slug.partition("/")[0]

    @property
    def short(self) -> str:
        return self.slug.partition("/")[2]

    @property
    def is_per_token(self) -> bool:
        return self.billing == PER_TOKEN

    def rate(self, name: str) -> Decimal | None:
        return next((rate.price for rate in self.rates if rate.name == name), None)

    @property
    def input(self) -> Decimal | None:
        return self.rate(INPUT)

    @property
    def output(self) -> Decimal | None:
        return self.rate(OUTPUT)

    @property
    def cache_read(self) -> Decimal | None:
        return self.rate(CACHE_READ)

    @property
    def more_rates(self) -> Sequence[Rate]:
        """What is neither input, output nor cache read."""
        return [rate for rate in self.rates if rate.name not in (INPUT, OUTPUT, CACHE_READ)]


def unit_label(name: str) -> str:
    """What a rate is called in a sentence."""
    unit = UNITS.get(name)
    return name if unit is None else unit.offered


def offers(search: str = "", *, group: CustomerGroup = NO_GROUP) -> list[Offer]:
    """Every model on offer to a group's customers, by id, at what they pay.

    With `search`, those whose id, name or description contains every word of it.
    """
    on_offer = catalog.load().models.values()
    entries = {entry.id: entry.at(group.factor) for entry in on_offer if group.sees(entry.names)}
    words = search.lower().split()
    found = []
    for model in Model.objects.filter(pk__in=entries).order_by("slug"):
        text = f"{model.slug} {model.name} {model.description}".lower()
        if all(word in text for word in words):
            found.append(_offer(model, entries[model.pk].price))
    return found


def _offer(model: Model, price: PriceVersion) -> Offer:
    return Offer(
        slug=model.slug,
        name=model.name,
        description=model.description,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        billing=price.billing,
        rates=_rates(price, price.rates),
        tiers=_tiers(price, price.tiers),
        variants=[
            Variant(", ".join(one.when.values()), _rates(price, one.rates), _tiers(price, one.tiers))
            for one in price.variants
        ],
        deprecated_on=model.deprecated_on,
        retired_on=model.retired_on,
    )


def _tiers(price: PriceVersion, tiers: Sequence[versions.Tier]) -> list[Tier]:
    return [Tier(above=tier.above, rates=_rates(price, tier.rates)) for tier in tiers]


def _rates(price: PriceVersion, rates: Mapping[str, Decimal]) -> list[Rate]:
    return [Rate(name=name, label=unit_label(name), price=value * price.margin) for name, value in rates.items()]


def one_of_each_provider(found: Sequence[Offer], *, most: int) -> list[Offer]:
    """A few offers for a first look, no provider twice."""
    firsts: dict[str, Offer] = {}
    for offer in found:
        if offer.is_per_token:
            firsts.setdefault(offer.provider, offer)
    return list(firsts.values())[:most]


def sample_model(found: Sequence[Offer]) -> str:
    """A model for an example call: the cheapest one that answers in text."""
    priced = [offer for offer in found if offer.is_per_token and offer.output]
    if not priced:
        return "openai/gpt-4.1-nano"
    return min(priced, key=lambda offer: (offer.output or 0, offer.slug)).slug
