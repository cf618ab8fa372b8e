"""What the description tells of each operation of the account API beside its shapes: `examples.yaml`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Told:
    """One operation: its group, its name in words, what it takes and answers, and the errors that are its own."""

    group: str
    summary: str
    notes: str = ""
    place: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    request: Any = None
    answer: Any = None
    refused: tuple[tuple[int, str, str], ...] = ()
    nullable: tuple[str, ...] = ()
    """Members of an answer that may be null, where its shape is that of the example."""
    loose: tuple[str, ...] = ()
    """Those that may be anything."""


@cache
def _file() -> Mapping[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("examples.yaml").read_text("utf-8"))
    return found


@cache
def groups() -> Mapping[str, str]:
    """The groups in the order in which they are shown, with their titles."""
    return dict(_file()["groups"])


@cache
def operations() -> Mapping[str, Told]:
    """By the operation's id."""
    return {
        name: Told(**{**told, "refused": tuple(tuple(one) for one in told.get("refused", ()))})
        for name, told in _file()["operations"].items()
    }
