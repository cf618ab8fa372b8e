"""What tells whether an upstream knows its key, and costs nothing: its list of models."""

from proxy.prices.catalog import Destination
from proxy.protocols.endpoint import Sending


def listing(destination: Destination) -> Sending:
    return Sending("/models", {"Authorization": f"Bearer {destination.api_key}"}, method="GET")
