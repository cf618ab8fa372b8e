"""What a new price changes for whoever calls the model, unit by unit, also where it has another unit's rate. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from proxy.prices.units import TABLE, rate_of
from proxy.prices.versions import NO_TERMS, SERVICE_TIER, PriceVersion

OPEN_TERMS = frozenset({"size", "quality", "resolution"})
"""What a request may name whether a price goes by it or not; other terms are served where they have a price."""
OPEN_TIERS = frozenset({"auto", "default", "flex"})


@dataclass(frozen=True, slots=True)
class Difference:
    """A unit's rate, USD before the margin, in requests of these terms beyond so many input tokens.

    None is what is not sold. `above` is -1 for requests of any length.
    """

    unit: str
    when: Mapping[str, str]
    above: int
    old: Decimal | None
    new: Decimal | None

    @property
    def share(self) -> Decimal | None:
        """How much dearer, as a share of the old rate; None where that cannot be said."""
        return (self.new - self.old) / self.old if self.old and self.new is not None else None

    def is_beyond(self, limit: Decimal) -> bool:
        """Whether it is dearer or cheaper by more than that share; from nothing to something always is."""
        if self.old is None or self.new is None:
            return False
        return abs(self.new - self.old) > self.old * limit

    def __str__(self) -> str:
        place = " ".join(f"{name}={value}" for name, value in self.when.items())
        length = f"above {self.above}" if self.above >= 0 else ""
        what = ", ".join(part for part in (self.unit, place, length) if part)
        return f"{what:<44} {_written(self.old):>12} -> {_written(self.new):<12} {self._percent()}".rstrip()

    def _percent(self) -> str:
        if self.old is None:
            return "new"
        if self.new is None:
            return "no longer sold"
        return "was free" if self.share is None else f"{self.share * 100:+.1f} %"


def differences(old: PriceVersion | None, new: PriceVersion) -> list[Difference]:
    """Every rate that is another one now. What a variant or a tier shares with the price itself is told once."""
    found: list[Difference] = []
    told: set[tuple[str, Decimal | None, Decimal | None]] = set()
    versions = [new] if old is None else [old, new]
    for when, above in places(versions):
        for unit in TABLE:
            if not any(unit.name in version.priced for version in versions):
                continue
            before, after = (rate_in(version, unit.name, when, above) for version in (old, new))
            if before != after and (unit.name, before, after) not in told:
                told.add((unit.name, before, after))
                found.append(Difference(unit.name, when, above, before, after))
    return found


def places(versions: Sequence[PriceVersion]) -> Iterator[tuple[Mapping[str, str], int]]:
    """Each set of terms and each border that one of them goes by, the plain ones first."""
    terms: list[Mapping[str, str]] = [NO_TERMS]
    borders = {-1}
    for version in versions:
        for tiers in (version.tiers, *(variant.tiers for variant in version.variants)):
            borders |= {tier.above for tier in tiers}
        terms += [variant.when for variant in version.variants if variant.when not in terms]
    for when in terms:
        for above in sorted(borders):
            yield when, above


def rate_in(version: PriceVersion | None, unit: str, when: Mapping[str, str], above: int) -> Decimal | None:
    """What it costs there, USD before the margin, or in a purchase price's currency; None where it is not sold."""
    if version is None or not version.sells(unit, when) or not _is_served(version, when):
        return None
    rates = version.rates_for(above + 1, when)
    return rate_of(rates, unit)


def _is_served(version: PriceVersion, when: Mapping[str, str]) -> bool:
    return all(
        name in OPEN_TERMS
        or (name == SERVICE_TIER and value in OPEN_TIERS)
        or version.varies_by({name: value})
        for name, value in when.items()
    )  # fmt: skip


def _written(rate: Decimal | None) -> str:
    return "-" if rate is None else f"{rate.normalize():f}"
