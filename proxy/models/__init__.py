from proxy.models.catalog import SPOKEN, Kind, Model, Protocol, Route, Upstream
from proxy.models.generations import NET_COST, SWEPT_ALIVE, Generation, Lease
from proxy.models.prices import Price

__all__ = [
    "NET_COST",
    "SPOKEN",
    "SWEPT_ALIVE",
    "Generation",
    "Kind",
    "Lease",
    "Model",
    "Price",
    "Protocol",
    "Route",
    "Upstream",
]
