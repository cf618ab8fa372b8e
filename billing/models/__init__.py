from billing.models.ledger import Hold, LedgerAccount, Transfer, Wallet
from billing.models.refunds import RefundRequest

__all__ = ["Hold", "LedgerAccount", "RefundRequest", "Transfer", "Wallet"]
