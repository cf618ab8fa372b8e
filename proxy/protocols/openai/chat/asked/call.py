"""A chat completion as read."""

from core.records import value
from proxy.protocols.base import Call


@value
class ChatCall(Call):
    """What a chat completion says beyond what every request does."""

    limit_fields: tuple[str, ...] = ()
    """The names under which the caller set the limit."""
    stream_options: bytes = b""
    """Raw members beside `include_usage`."""
    include_usage: bool = False
    """Whether the caller asked for usage in its stream."""
