"""How many requests an upstream may have at once from this process: its limit, divided by the gateways that live."""

from collections import Counter

from proxy.prices.catalog import Destination


class Slots:
    """Those that are taken, by upstream; `gateways` is kept up to date by whoever renews the lease.

    While a gateway starts or dies, the others learn of it with their next renewal: until then all of them together may
    have more than the limit, or less.
    """

    def __init__(self) -> None:
        self.gateways = 1
        self.taken: Counter[str] = Counter()

    def take(self, destination: Destination) -> bool:
        """Whether there was room; then `give_back` is to follow."""
        limit = destination.max_concurrency
        if limit is not None and self.taken[destination.upstream] >= -(-limit // self.gateways):
            return False
        self.taken[destination.upstream] += 1
        return True

    def give_back(self, upstream: str) -> None:
        self.taken[upstream] -= 1
