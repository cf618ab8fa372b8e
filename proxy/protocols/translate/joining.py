"""The endpoints that are put to each other's upstreams."""

from collections.abc import Sequence
from typing import Any

from proxy.protocols.endpoint import Endpoint
from proxy.protocols.translate.dialect import Translated


def join(endpoints: Sequence[Endpoint[Any]]) -> None:
    """Let requests to each of them go to the upstreams of the others, by the protocol that those are named by.

    Where two of them are named by one protocol the first is asked, and the other at upstreams without that path.
    """
    for endpoint in endpoints:
        for other in endpoints:
            if other is endpoint or other.side is None or endpoint.side is None:
                continue
            translated = Translated(endpoint.side, other.side)
            if other.name not in endpoint.dialects:
                endpoint.dialects = {**endpoint.dialects, other.name: translated}
            else:
                endpoint.detours = {**endpoint.detours, other.name: translated}
