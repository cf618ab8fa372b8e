"""OpenAI's newer protocol, in front of the same model."""

from sandbox.upstream.responses.answering import routes
from sandbox.upstream.responses.kept import STORE, Store

__all__ = ["STORE", "Store", "routes"]
