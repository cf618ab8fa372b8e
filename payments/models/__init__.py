from billing.models import Discrepancy
from payments.models.automatic import AutoTopUp, SavedCard
from payments.models.disputes import Dispute, DisputeMovement, FraudWarning
from payments.models.notifications import Notification
from payments.models.rates import ExchangeRate
from payments.models.refunds import RefundPart
from payments.models.statements import Statement, StatementLine
from payments.models.topups import MOST_FAILURES, Method, TopUp, TopUpQuerySet

__all__ = [
    "MOST_FAILURES",
    "AutoTopUp",
    "Discrepancy",
    "Dispute",
    "DisputeMovement",
    "ExchangeRate",
    "FraudWarning",
    "Method",
    "Notification",
    "RefundPart",
    "SavedCard",
    "Statement",
    "StatementLine",
    "TopUp",
    "TopUpQuerySet",
]
