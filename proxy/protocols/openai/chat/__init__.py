"""OpenAI's chat completions, by the names that the gateway asks a protocol for."""

from proxy.protocols.openai.chat.answer import decorate, error, is_answer, read_answer
from proxy.protocols.openai.chat.asked.outgoing import after_refusal, upstream_body
from proxy.protocols.openai.chat.asked.request import read
from proxy.protocols.openai.chat.assembling import Assembly, as_events
from proxy.protocols.openai.chat.failure import failure_in, failure_of
from proxy.protocols.openai.chat.produced import produced_bytes
from proxy.protocols.openai.chat.stream import ChatStream
from proxy.protocols.openai.usage import usage

__all__ = [
    "Assembly",
    "ChatStream",
    "after_refusal",
    "as_events",
    "decorate",
    "error",
    "failure_in",
    "failure_of",
    "is_answer",
    "name",
    "produced_bytes",
    "read",
    "read_answer",
    "upstream_body",
    "usage",
]

name = "openai"
