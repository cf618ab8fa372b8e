"""A request to Responses as read."""

from collections.abc import Mapping
from dataclasses import field

from core.records import value
from proxy.prices.versions import NONE
from proxy.protocols.base import Call


@value
class Offered:
    """A tool that runs at the provider. `unit` is what it is sold by, "" where it is not; `stored` is the member by
    which it would refer to what an account keeps."""

    kind: str
    unit: str = ""
    stored: str = ""


@value
class ResponsesCall(Call):
    """What a request to Responses says beyond what every request does."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that go upstream."""
    stores: bool = True
    """Whether the upstream keeps the answer, to be referred to later: it does unless it is told not to."""
    previous: str = ""
    """The answer that this one goes on from, by its id."""
    background: bool = False
    """Whether it is to be worked on after its first answer."""
    compacts: bool = False
    """Whether its context may be summed up before, which is a turn of its own."""
    items: frozenset[str] = NONE
    """The types of what stands in its input."""
    unsaid: tuple[str, ...] = ()
    """Ids in its input of what only says something where an account keeps it."""
    offered: tuple[Offered, ...] = ()
    """Tools that run at the provider, wherever they stand. With any, what follows is not in `rest`."""
    tools: bytes = b""
    tool_choice: bytes = b""
    input: bytes = b""
    """Where such a tool stands in it."""
    max_tool_calls: int | None = None
