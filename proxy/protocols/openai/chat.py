"""OpenAI's chat completions, by the names that the gateway asks a protocol for."""

from proxy.protocols.openai.answer import decorate, error, read_answer, texts, usage, usage_dict
from proxy.protocols.openai.request import read, upstream_body
from proxy.protocols.openai.stream import ChatStream

__all__ = [
    "ChatStream",
    "decorate",
    "error",
    "name",
    "read",
    "read_answer",
    "texts",
    "upstream_body",
    "usage",
    "usage_dict",
]

name = "openai"
