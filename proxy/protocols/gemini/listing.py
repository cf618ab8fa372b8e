"""What tells whether an upstream knows its key, and costs nothing: its list of models."""

from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending
from proxy.protocols.gemini.paths import headers_of


def listing(destination: Destination) -> Sending:
    return Sending("/models", headers_of({}, destination), method="GET")
