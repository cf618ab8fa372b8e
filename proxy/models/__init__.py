from proxy.models.attempts import UNKNOWN, Attempt, UpstreamHealth, UpstreamMinute
from proxy.models.bills import UpstreamBill, UpstreamBillLine, UpstreamBillSum
from proxy.models.catalog import PATHS, SPOKEN, Currency, Kind, Model, Protocol, Route, Upstream
from proxy.models.claims import Claim
from proxy.models.generations import (
    ENDED_EARLY,
    NET_COST,
    SWEPT_ALIVE,
    Change,
    Generation,
    Learned,
    Lease,
    WarmPrompt,
)
from proxy.models.jobs import Job
from proxy.models.kept import Kept, OnceRow
from proxy.models.margin import ChargeCorrection, CustomerMarginDay, MarginDay, UsageDay
from proxy.models.prices import Price, PurchasePrice
from proxy.models.proposals import PriceProposal
from proxy.models.purchases import PurchaseBatch
from proxy.models.rerates import Rerate, RerateShare

__all__ = [
    "ENDED_EARLY",
    "NET_COST",
    "PATHS",
    "SPOKEN",
    "SWEPT_ALIVE",
    "UNKNOWN",
    "Attempt",
    "Change",
    "ChargeCorrection",
    "Claim",
    "Currency",
    "CustomerMarginDay",
    "Generation",
    "Job",
    "Kept",
    "Kind",
    "Learned",
    "Lease",
    "MarginDay",
    "Model",
    "OnceRow",
    "Price",
    "PriceProposal",
    "Protocol",
    "PurchaseBatch",
    "PurchasePrice",
    "Rerate",
    "RerateShare",
    "Route",
    "Upstream",
    "UpstreamBill",
    "UpstreamBillLine",
    "UpstreamBillSum",
    "UpstreamHealth",
    "UpstreamMinute",
    "UsageDay",
    "WarmPrompt",
]
