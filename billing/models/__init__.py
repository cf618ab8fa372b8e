from billing.models.ledger import Hold, LedgerAccount, Transfer, Wallet

__all__ = ["Hold", "LedgerAccount", "Transfer", "Wallet"]
