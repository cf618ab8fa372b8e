from billing.models.adjustments import AdjustmentProposal
from billing.models.alerts import Alert, AlertPost, AlertSettings, Notice
from billing.models.bonus.codes import BonusCode, CodeBatch, CodeTry, CodeUse
from billing.models.bonus.grants import BonusGrant
from billing.models.books import AccountDay, AuditRun, ClosedDay, MonthLock, MonthStatement, Paper
from billing.models.budgets import Budget
from billing.models.discrepancies import Discrepancy
from billing.models.entries import JournalEntry
from billing.models.events import Event, Unread
from billing.models.invoices import Buyer, CreditTask, Document, InvoiceAllocation, InvoiceRequest, InvoiceSeries
from billing.models.ledger import Hold, LedgerAccount, Transfer, Wallet
from billing.models.mail import Mail
from billing.models.refunds import RefundRequest

__all__ = [
    "AccountDay",
    "AdjustmentProposal",
    "Alert",
    "AlertPost",
    "AlertSettings",
    "AuditRun",
    "BonusCode",
    "BonusGrant",
    "Budget",
    "Buyer",
    "ClosedDay",
    "CodeBatch",
    "CodeTry",
    "CodeUse",
    "CreditTask",
    "Discrepancy",
    "Document",
    "Event",
    "Hold",
    "InvoiceAllocation",
    "InvoiceRequest",
    "InvoiceSeries",
    "JournalEntry",
    "LedgerAccount",
    "Mail",
    "MonthLock",
    "MonthStatement",
    "Notice",
    "Paper",
    "RefundRequest",
    "Transfer",
    "Unread",
    "Wallet",
]
