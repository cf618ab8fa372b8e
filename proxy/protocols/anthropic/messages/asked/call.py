"""A request to Messages as read."""

from collections.abc import Mapping
from dataclasses import field

from core.records import value
from proxy.protocols.base import Call


@value
class ServerTool:
    """A tool that runs at the provider.

    `unit` is what it is sold by, "" where it is on offer nowhere; `rest` its members but `max_uses`.
    """

    kind: str
    name: str
    unit: str
    max_uses: int | None
    rest: bytes


@value
class MessagesCall(Call):
    """What a request to Messages says beyond what every request does."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that go upstream."""
    query: str = ""
    fast: Mapping[str, str] = field(default_factory=dict)
    """Of `speed` and `inference_geo` what it names."""
    varies: bool = False
    """Its price goes by one of them."""
    extra_output: int = 0
    """Tokens of thinking beyond `max_tokens`."""
    unwritten: frozenset[str] = frozenset()
    """What is not written to a cache: Anthropic writes what is marked, for 5 minutes unless the mark says longer."""
    compacts: bool = False
    """Whether it may have its context summed up before, which is a turn of its own."""
    tools: tuple[bytes | ServerTool, ...] = ()
    """Where some run at the provider, all of them; else they are in `rest`."""
    tool_choice: bytes = b""
    """Beside such tools."""
    continues: bool = False
    """Whether what such tools found stands in its messages."""
