from billing.models.books import AccountDay, AuditRun, ClosedDay
from billing.models.ledger import Hold, LedgerAccount, Transfer, Wallet
from billing.models.mail import Mail
from billing.models.refunds import RefundRequest

__all__ = [
    "AccountDay",
    "AuditRun",
    "ClosedDay",
    "Hold",
    "LedgerAccount",
    "Mail",
    "RefundRequest",
    "Transfer",
    "Wallet",
]
