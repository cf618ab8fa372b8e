"""What tells whether an upstream knows its key, and costs nothing: its list of models."""

from proxy.prices.catalog import Destination
from proxy.protocols.anthropic.messages.neutral.asking import VERSION
from proxy.protocols.endpoint import Sending


def listing(destination: Destination) -> Sending:
    headers = {"x-api-key": destination.api_key, "anthropic-version": VERSION}
    return Sending("/models", headers, method="GET")
