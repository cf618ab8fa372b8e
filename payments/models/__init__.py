from payments.models.disputes import Dispute, DisputeMovement, FraudWarning
from payments.models.notifications import Notification
from payments.models.rates import ExchangeRate
from payments.models.refunds import RefundPart
from payments.models.statements import Discrepancy, Statement, StatementLine
from payments.models.topups import CARD_VALIDITY, CNY_VALIDITY, Method, TopUp, TopUpQuerySet

__all__ = [
    "CARD_VALIDITY",
    "CNY_VALIDITY",
    "Discrepancy",
    "Dispute",
    "DisputeMovement",
    "ExchangeRate",
    "FraudWarning",
    "Method",
    "Notification",
    "RefundPart",
    "Statement",
    "StatementLine",
    "TopUp",
    "TopUpQuerySet",
]
