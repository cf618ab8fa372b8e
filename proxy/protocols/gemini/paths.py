"""Where this protocol's paths stand, and how an upstream is addressed."""

from collections.abc import Mapping
from urllib.parse import quote

from proxy.prices.catalog import Destination

ROOTS = ("/v1beta", "/v1", "/gemini/v1beta", "/gemini/v1")
HEADERS = frozenset({b"x-goog-api-client"})
"""Of a caller, those that go upstream."""


def path_of(destination: Destination, verb: str) -> str:
    return f"/models/{quote(destination.upstream_model, safe='/@')}:{verb}"


def name_of(destination: Destination) -> str:
    """The model as a body names it."""
    return f"models/{destination.upstream_model}"


def headers_of(sent: Mapping[str, str], destination: Destination) -> dict[str, str]:
    """With the key, which never stands in the address."""
    return {**sent, "x-goog-api-key": destination.api_key}
