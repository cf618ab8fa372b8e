"""What one request used: the usual counts by name, the rare ones by unit; and each token of it once. Pure."""

from collections.abc import Container, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from billing.books.money import ZERO
from core.records import value
from proxy.prices.units import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CITATION,
    INPUT,
    INPUT_TEXT,
    MODALITIES,
    OUTPUT,
    OUTPUT_TEXT,
    REASONING,
    TABLE,
    UNITS,
)
from proxy.prices.versions import Amount

READS = tuple(f"{CACHE_READ}_{modality}" for modality in MODALITIES)
WRITES = tuple(unit.name for unit in TABLE if unit.name.startswith(f"{CACHE_WRITE}_") and unit.name != CACHE_WRITE_1H)
FRESH = tuple(f"{INPUT}_{modality}" for modality in MODALITIES)
MADE = tuple(f"{OUTPUT}_{modality}" for modality in MODALITIES)


@value
class Usage:
    """What one request used. Tokens; `units` are those of a price that names one unit and no tokens."""

    input_tokens: int = 0
    """All input, cached and cache-written included, whatever it stands for."""
    output_tokens: int = 0
    """All output, reasoning included."""
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    """Writes of all durations together."""
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    units: Decimal = ZERO
    more: Mapping[str, Amount] | None = None
    """Rare counts by unit, each a leaf: tokens of sound, pictures and films, which the sums above include; searches."""


def leaves(usage: Usage, priced: Container[str]) -> list[tuple[str, Amount]]:
    """Each token of a request once, and all else that it used, by the unit that it is charged as; zeros too.

    A provider's own counts may not add up; what is cached is never more than what came in. Reasoning and citations are
    output like any other where they have no rate of their own.
    """
    text_in = INPUT_TEXT if INPUT_TEXT in priced else INPUT
    text_out = OUTPUT_TEXT if OUTPUT_TEXT in priced else OUTPUT
    if usage.more is None and not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens):
        return [(text_in, usage.input_tokens), (text_out, usage.output_tokens)]
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.cache_write_tokens, usage.input_tokens - cached)
    if usage.more is None:
        hours = min(usage.cache_write_1h_tokens, written)
        reasoning = min(usage.reasoning_tokens, usage.output_tokens) if REASONING in priced else 0
        return [
            (text_in, usage.input_tokens - cached - written),
            (CACHE_READ, cached),
            (CACHE_WRITE, written - hours),
            (CACHE_WRITE_1H, hours),
            (text_out, usage.output_tokens - reasoning),
            (REASONING, reasoning),
        ]
    more = usage.more
    found: list[tuple[str, Amount]] = []
    _share(found, usage.input_tokens - cached - written, [(name, more.get(name, 0)) for name in FRESH], text_in)
    _share(found, cached, [(name, more.get(name, 0)) for name in READS], CACHE_READ)
    for_an_hour = (CACHE_WRITE_1H, usage.cache_write_1h_tokens)
    _share(found, written, [*((name, more.get(name, 0)) for name in WRITES), for_an_hour], CACHE_WRITE)
    apart = ((REASONING, usage.reasoning_tokens), (CITATION, more.get(CITATION, 0)))
    kinds = [(name, count) for name, count in apart if name in priced]
    _share(found, usage.output_tokens, [*kinds, *((name, more.get(name, 0)) for name in MADE)], text_out)
    found += [(name, count) for name, count in more.items() if not UNITS[name].side]
    return found


def at_least(usage: Usage, least: Mapping[str, int]) -> Usage:
    """With these counts where it does not tell of them, and without those that it tells to be none."""
    more = {name: count for name, count in {**least, **(usage.more or {})}.items() if count}
    return replace(usage, more=more or None)


def is_shown_alike(one: Usage, other: Usage) -> bool:
    """Whether they differ in nothing but rare counts, which protocols of tokens do not show."""
    return one is other or replace(one, more=None) == replace(other, more=None)


def dumped(more: Mapping[str, Amount]) -> str:
    """Rare counts as they are stored: a fraction is a text, so that it stays exact."""
    return orjson.dumps({name: count if type(count) is int else f"{count:f}" for name, count in more.items()}).decode()


def loaded(said: Mapping[str, int | str] | None) -> Mapping[str, Amount] | None:
    if not said:
        return None
    return {name: count if isinstance(count, int) else Decimal(count) for name, count in said.items()}


def _share(found: list[tuple[str, Amount]], total: int, parts: list[tuple[str, Any]], rest: str) -> None:
    """The rest of a sum first, which is text, then its parts; none is more than what is left of the sum."""
    place = len(found)
    for name, count in parts:
        if part := min(count, total):
            found.append((name, part))
            total -= part
    found.insert(place, (rest, total))


def counted(
    *,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    cache_write_tokens: int = 0,
    cache_write_1h_tokens: int = 0,
    reasoning_tokens: int = 0,
    brought: Mapping[str, int] | None = None,
    cached: Mapping[str, int] | None = None,
    made: Mapping[str, int] | None = None,
    more: Mapping[str, Amount] | None = None,
) -> Usage:
    """Usage from an upstream's sums by modality (`audio`, `image`, `video`) of input (`brought`) and output (`made`).

    `more` are other rare counts, with zeros that are told. `cached` are those of what was read from a cache. Where an
    upstream does not tell them, what was read, and then what was written, is taken from text first.
    """
    if not (brought or made or more):
        return Usage(
            input_tokens, output_tokens, cached_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens
        )
    rare: dict[str, Amount] = {**(more or {})}
    if brought:
        text = max(0, input_tokens - sum(brought.values()))
        told = None if cached is None else {name: min(count, cached.get(name, 0)) for name, count in brought.items()}
        read = min(cached_tokens, text) if told is None else max(0, cached_tokens - sum(told.values()))
        sound_read, sound_written = cached_tokens - read, max(0, cache_write_tokens - max(0, text - read))
        for modality, count in brought.items():
            hit = told[modality] if told is not None else min(count, sound_read)
            put = min(count - hit, sound_written)
            sound_read, sound_written = sound_read - hit, sound_written - put
            for name, part in ((CACHE_READ, hit), (CACHE_WRITE, put), (INPUT, count - hit - put)):
                if part:
                    rare[f"{name}_{modality}"] = part
    for modality, count in (made or {}).items():
        if count:
            rare[f"{OUTPUT}_{modality}"] = count
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        cache_write_tokens=cache_write_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens,
        reasoning_tokens=reasoning_tokens,
        more=rare or None,
    )
