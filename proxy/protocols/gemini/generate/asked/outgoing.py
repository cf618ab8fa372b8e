"""A request to generate as it goes upstream: the caller's own bytes, and the limit that was held before them."""

from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.protocols.gemini.generate.asked.call import GenerateCall
from proxy.protocols.gemini.paths import headers_of, path_of


def sending(call: GenerateCall, destination: Destination, *, output_limit: int | None) -> Sending:
    """A stream is asked for as events, however its caller wants it."""
    limit = b"" if output_limit is None else b'"maxOutputTokens":%d' % output_limit
    config = b",".join(filter(None, (limit, call.config)))
    head = b'{"generationConfig":{%b}' % config
    body = (head + b",", call.rest, b"}") if call.rest else (head + b"}",)
    verb = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
    return Sending(path_of(destination, verb), headers_of(call.headers, destination), body)
