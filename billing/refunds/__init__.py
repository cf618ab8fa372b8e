"""Refunds of unused paid balance: asked, frozen, decided, sent in parts, done or back at the desk.

This package alone moves a request's state and posts what a refund moves. Payments sends the parts and reports here;
nothing here knows a provider. Lock order: the request's row, then its wallet, then holds.
"""

from billing.refunds.core import NotAllowed, NotMovable, RefundError, most_now
from billing.refunds.desk import (
    Refundable,
    answer,
    approve,
    ask,
    ask_back,
    cancel,
    checked_amount,
    counted_for_limit,
    deny,
    propose,
    refundable,
    send_back,
)
from billing.refunds.sending import (
    begin_sending,
    finish,
    part_done,
    part_failed,
    part_sent,
    record_external,
    return_to_desk,
    wait,
)

__all__ = [
    "NotAllowed",
    "NotMovable",
    "RefundError",
    "Refundable",
    "answer",
    "approve",
    "ask",
    "ask_back",
    "begin_sending",
    "cancel",
    "checked_amount",
    "counted_for_limit",
    "deny",
    "finish",
    "most_now",
    "part_done",
    "part_failed",
    "part_sent",
    "propose",
    "record_external",
    "refundable",
    "return_to_desk",
    "send_back",
    "wait",
]
