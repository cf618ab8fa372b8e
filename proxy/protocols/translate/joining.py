"""The endpoints that are put to each other's upstreams."""

from collections.abc import Sequence
from typing import Any

from proxy.protocols.endpoint import Endpoint
from proxy.protocols.translate.dialect import Translated


def join(endpoints: Sequence[Endpoint[Any]]) -> None:
    """Let requests to each of them go to the upstreams of the others, by the protocol that those are named by."""
    for endpoint in endpoints:
        for other in endpoints:
            if other.side is not None and endpoint.side is not None and other.name not in endpoint.dialects:
                endpoint.dialects = {**endpoint.dialects, other.name: Translated(endpoint.side, other.side)}
                endpoint.translated = endpoint.translated | {other.name}
