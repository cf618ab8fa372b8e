"""OpenAI's newer protocol, in front of the same model."""

from sandbox.upstream.responses.answering import routes

__all__ = ["routes"]
