"""A version of a price, worked out once: its rates by what was asked and served, and the dearest that may apply. Pure.

Tiers are cliffs: beyond so many input tokens the whole request has their rates. Of the variants that a request's terms
match, the first that names a unit gives its rate; else the price itself does. docs/prices.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any, Protocol

from billing.books.money import ZERO
from proxy.prices.units import (
    CACHE_READ,
    CALLS,
    INPUT,
    INPUT_TEXT,
    ONE,
    OUTPUT,
    OUTPUT_SIDE,
    OUTPUT_TEXT,
    REQUEST,
    TABLE,
    TEXT,
    TOKEN_UNITS,
    UNITS,
    rate_of,
)

SERVICE_TIER = "service_tier"
COMPLETION_WINDOW = "completion_window"
TERMS = (SERVICE_TIER, "speed", "inference_geo", "size", "quality", "resolution", COMPLETION_WINDOW)
"""What a price may go by beside the length: what a request names, and the answer says was served."""
NO_TERMS: Mapping[str, str] = {}
NONE = frozenset[str]()
Rates = Mapping[str, Decimal]
Amount = int | Decimal
LIKE_TEXT = tuple(dict.fromkeys(unit.bounding for unit in TABLE if unit.side and unit.bounding not in (INPUT, OUTPUT)))
"""Units of tokens that an answer may as well count as text."""
MADE_APART = frozenset(unit.name for unit in TABLE if unit.side == OUTPUT_SIDE and unit.is_apart)
"""Output beside text: sound, pictures and films."""


class PriceRow(Protocol):
    """What `proxy.models.Price` supplies."""

    pk: Any
    billing: str
    rates: Any
    tiers: Any
    more: Any

    @property
    def margin(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates that replace the base ones in a request of more than `above` input tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Variant:
    """Rates of requests whose terms are all of `when`, with tiers of their own."""

    when: Mapping[str, str]
    rates: Rates
    tiers: Sequence[Tier] = ()

    def fits(self, terms: Mapping[str, str]) -> bool:
        return all(terms.get(name) == value for name, value in self.when.items())

    def may_fit(self, terms: Mapping[str, str]) -> bool:
        """Whether nothing that is fixed already speaks against it."""
        return all(terms.get(name, value) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True)
class Level:
    """USD with the margin, at most, for one of each unit that a request counts, beyond `above` input tokens."""

    above: int
    rates: Rates
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """A frozen price: what a request is held and charged at, whatever happens to the catalog meanwhile."""

    id: int
    billing: str
    rates: Rates
    margin: Decimal
    tiers: Sequence[Tier] = ()
    variants: Sequence[Variant] = ()
    fallback: frozenset[str] = frozenset()
    """What is sold apart, and yet for the rate of what stands for it."""
    least_seconds: Decimal = ZERO
    """Of sound, that each request with any is charged for."""
    round_to: Decimal = ZERO
    """Seconds of sound are charged in multiples of this; zero: as they are."""
    factor: Decimal = ONE
    """Of the customer's group; it is in the margin."""
    worst: Sequence[Level] = field(init=False, compare=False)
    """At the dearest rates of all that may apply."""
    priced: frozenset[str] = field(init=False, compare=False)
    """The units that have a rate of their own somewhere."""
    has_tokens: bool = field(init=False, compare=False)
    writes: bool = field(init=False, compare=False)
    """Text that is made has a rate."""
    makes: tuple[str, ...] = field(init=False, compare=False)
    """What output may be where a request does not say: `TEXT`, that very tuple, where nothing else has a rate."""
    is_by_call: bool = field(init=False, compare=False)
    """Each request costs something, beside its tokens."""
    plain: Sequence[tuple[int, Decimal, Decimal, Decimal]] = field(init=False, compare=False)
    """(above, and USD a million of input, cached input, output): all that most need where no variant applies."""
    _varied: frozenset[tuple[str, str]] = field(init=False, compare=False, repr=False)
    _worst: dict[tuple[frozenset[str] | str | None, ...], Sequence[Level]] = field(
        init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        held = [self.rates, *(variant.rates for variant in self.variants)]
        held += [tier.rates for tiers in (self.tiers, *(one.tiers for one in self.variants)) for tier in tiers]
        object.__setattr__(self, "priced", frozenset[str]().union(*held))
        object.__setattr__(self, "has_tokens", not TOKEN_UNITS.isdisjoint(self.priced))
        object.__setattr__(self, "writes", not self.priced.isdisjoint((OUTPUT, OUTPUT_TEXT)))
        object.__setattr__(self, "makes", (OUTPUT, *made) if (made := MADE_APART & self.priced) else TEXT)
        object.__setattr__(self, "is_by_call", self.has_tokens and REQUEST in self.priced)
        object.__setattr__(self, "_varied", frozenset(pair for one in self.variants for pair in one.when.items()))
        object.__setattr__(self, "_worst", {})
        object.__setattr__(self, "worst", self._dearest(NO_TERMS))
        is_plain = self.has_tokens and not self.is_by_call
        object.__setattr__(self, "plain", self._plain() if is_plain else ())

    @classmethod
    def from_row(cls, row: PriceRow) -> "PriceVersion":
        more = row.more or {}
        return cls(
            id=row.pk,
            billing=row.billing,
            rates=_rates(row.rates),
            margin=row.margin,
            tiers=_tiers(row.tiers),
            variants=tuple(
                Variant(one["when"], _rates(one["rates"]), _tiers(one.get("tiers", ())))
                for one in more.get("variants", ())
            ),
            fallback=frozenset(more.get("fallback", ())),
            least_seconds=Decimal(more.get("minimum", ZERO)),
            round_to=Decimal(more.get("round", ZERO)),
        )

    def times(self, factor: Decimal) -> "PriceVersion":
        """The price of a customer whose group pays this factor of it."""
        return replace(self, margin=self.margin * factor, factor=factor)

    def billed(self, seconds: Amount) -> Amount:
        """So many seconds of sound as they are charged: rounded up, and no fewer than the minimum."""
        if seconds and self.round_to:
            seconds = (seconds / self.round_to).to_integral_value(ROUND_CEILING) * self.round_to
        return max(seconds, self.least_seconds) if seconds else seconds

    def rates_for(self, input_tokens: int, terms: Mapping[str, str] = NO_TERMS) -> Rates:
        """The rates of a request with that much input, by what was served."""
        rates = at_length(self, input_tokens)
        for variant in reversed(self.variants):
            if variant.fits(terms):
                rates = {**rates, **at_length(variant, input_tokens)}
        return rates

    def worst_at(self, terms: Mapping[str, str], without: frozenset[str] = NONE) -> Sequence[Level]:
        """The dearest rates that a request may come to; what it leaves open of its terms may be anything.

        `without` are units that it cannot use.
        """
        if not without and (not self.variants or not terms):
            return self.worst
        key = (without, *(terms.get(name) for name in TERMS))
        if (found := self._worst.get(key)) is None:
            found = self._dearest(terms, without)
            if len(self._worst) < MOST_KEPT:
                self._worst[key] = found
        return found

    def sells(self, unit: str, terms: Mapping[str, str]) -> bool:
        """Whether a request of these terms may ask for that unit."""
        if not UNITS[unit].is_apart or unit in self.fallback or unit in self.rates or self.counts_calls_as(unit):
            return True
        return any(unit in variant.rates and variant.fits(terms) for variant in self.variants)

    def counts_calls_as(self, unit: str) -> bool:
        """Whether what it counts as requests are that unit: pictures, or searches of documents."""
        return unit in CALLS and self.priced == {REQUEST}

    def varies_by(self, terms: Mapping[str, str]) -> bool:
        """Whether a variant is for one of these terms."""
        return bool(self._varied) and not self._varied.isdisjoint(terms.items())

    def goes_by(self, name: str) -> bool:
        """Whether some variant is for a value of this term."""
        return any(name == term for term, _value in self._varied)

    def _plain(self) -> Sequence[tuple[int, Decimal, Decimal, Decimal]]:
        text_in = INPUT_TEXT if INPUT_TEXT in self.priced else INPUT
        text_out = OUTPUT_TEXT if OUTPUT_TEXT in self.priced else OUTPUT
        levels = [(above, self.rates_for(above + 1)) for above in (-1, *(tier.above for tier in self.tiers))]
        return tuple(
            (above, rate_of(rates, text_in), rate_of(rates, CACHE_READ), rate_of(rates, text_out))
            for above, rates in levels
        )

    def _dearest(self, terms: Mapping[str, str], without: frozenset[str] = NONE) -> Sequence[Level]:
        holders = [variant for variant in self.variants if variant.may_fit(terms)]
        tiers = [*self.tiers, *(tier for variant in holders for tier in variant.tiers)]
        borders = sorted({-1, *(tier.above for tier in tiers)})
        found: list[Level] = []
        dearest: dict[str, Decimal] = {}
        for above in borders:
            for name in self.priced - without:
                unit = UNITS[name]
                rate = self._most(name, above, holders, terms) * self.margin / unit.per
                if rate >= dearest.get(unit.bounding, ZERO):
                    dearest[unit.bounding] = rate
            rates = {**dearest}
            for name in LIKE_TEXT:
                if name in self.priced or name in rates:
                    rates[name] = max(rates.get(name, ZERO), rates.get(UNITS[name].side, ZERO))
            found.append(Level(above, rates, rates.get(INPUT, ZERO), rates.get(OUTPUT, ZERO)))
        return tuple(found)

    def _most(self, name: str, above: int, variants: Iterable[Variant], terms: Mapping[str, str]) -> Decimal:
        """A unit's dearest rate just beyond that border, of the variants that may come to apply, else of the price."""
        most = ZERO
        for variant in variants:
            rate = at_length(variant, above + 1).get(name)
            if rate is not None:
                most = max(most, rate)
                if variant.fits(terms):
                    return most  # it applies for certain, so what comes after it does not
        return max(most, at_length(self, above + 1).get(name, ZERO))


OPEN_TIERS = frozenset({None, "", "auto"})
MOST_KEPT = 1_000
"""Sets of terms whose dearest rates are kept; callers may name any size and quality."""


def terms_of(tier: str | None) -> Mapping[str, str]:
    """The terms of a request at a service tier; what is left to the upstream ("" or auto) is none."""
    return NO_TERMS if tier in OPEN_TIERS else {SERVICE_TIER: tier or ""}


def asked_and_served(
    asked_tier: str, service_tier: str, more: Mapping[str, Mapping[str, str]] | None
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The terms of a request as stored: its service tiers, and in `more` what else it asked for and was served."""
    asked, served = terms_of(asked_tier), terms_of(service_tier)
    if not more:
        return asked, served
    return {**asked, **more.get("asked", {})}, {**served, **more.get("served", {})}


def beside_tiers(asked: Mapping[str, str], served: Mapping[str, str]) -> Mapping[str, Mapping[str, str]] | None:
    """What of the terms is stored beside the service tiers."""
    both = {"asked": dict(asked), "served": dict(served)}
    found = {whose: terms for whose, terms in both.items() if terms.pop(SERVICE_TIER, None) is not None or terms}
    return {whose: terms for whose, terms in found.items() if terms} or None


def level_at(levels: Sequence[Level], input_tokens: int) -> Level:
    """The dearest rates of a request with up to that much input."""
    best = levels[0]
    for level in levels:
        if input_tokens > level.above:
            best = level
    return best


def most_for(level: Level, unit: str) -> Decimal:
    """USD with the margin, at most, for one of a unit that a request counts, or for what it is counted as."""
    if (rate := level.rates.get(unit)) is not None:
        return rate
    if unit in CALLS and level.rates.keys() == {REQUEST}:
        return level.rates[REQUEST]
    for ancestor in UNITS[unit].ancestors:
        if (rate := level.rates.get(UNITS[ancestor].bounding)) is not None:
            return rate
    return ZERO


def at_length(holder: "PriceVersion | Variant", input_tokens: int) -> Rates:
    """A price's or a variant's own rates at that much input: the highest tier it passes, over the base."""
    reached = [tier for tier in holder.tiers if input_tokens > tier.above]
    return {**holder.rates, **reached[-1].rates} if reached else holder.rates


def _rates(said: Mapping[str, str]) -> Rates:
    return {name: Decimal(text) for name, text in said.items()}


def _tiers(said: Sequence[Mapping[str, Any]]) -> tuple[Tier, ...]:
    return tuple(
        Tier(above=tier["above"], rates=_rates(tier["rates"])) for tier in sorted(said, key=lambda tier: tier["above"])
    )
