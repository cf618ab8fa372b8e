"""A request to generate as read."""

from collections.abc import Mapping
from dataclasses import field

import msgspec

from core.records import value
from proxy.protocols.base import Call


@value
class Tool:
    """A member of an item of `tools`. `unit` is what it is sold by where it runs at the provider, "" where it is not
    sold; `runs_here` where it runs with the caller."""

    name: str
    unit: str
    runs_here: bool
    raw: msgspec.Raw


@value
class GenerateCall(Call):
    """What a request to generate says beyond what every request does."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that go upstream."""
    config: bytes = b""
    """The members of `generationConfig` but the limit, as they came."""
    tools: tuple[tuple[Tool, ...], ...] = ()
    """Where some run at the provider, all of them by item; else they are in `rest`."""
    continues: bool = False
    """Whether what such tools found stands in its contents."""
    is_array: bool = False
    """A stream as a JSON array, not as events."""
