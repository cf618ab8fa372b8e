"""Refunds of unused paid balance: asked, frozen, decided, sent in parts, done or back at the desk.

This package alone moves a request's state and posts what a refund moves. Payments sends the parts and reports here;
nothing here knows a provider. Lock order: the request's row, then its wallet, then holds.
"""

from billing.refunds.afterwards import (
    bear_excess,
    collect_excess,
    part_paid_after_all,
    part_taken_back,
    tell_problem,
)
from billing.refunds.core import NotAllowed, NotMovable, PartMoney, RefundError, most_now, when_stopped
from billing.refunds.deciding import (
    Refundable,
    answer,
    approve,
    ask,
    ask_back,
    cancel,
    checked_amount,
    counted_for_limit,
    deny,
    may_approve,
    propose,
    questions_to,
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
    "PartMoney",
    "RefundError",
    "Refundable",
    "answer",
    "approve",
    "ask",
    "ask_back",
    "bear_excess",
    "begin_sending",
    "cancel",
    "checked_amount",
    "collect_excess",
    "counted_for_limit",
    "deny",
    "finish",
    "may_approve",
    "most_now",
    "part_done",
    "part_failed",
    "part_paid_after_all",
    "part_sent",
    "part_taken_back",
    "propose",
    "questions_to",
    "record_external",
    "refundable",
    "return_to_desk",
    "send_back",
    "tell_problem",
    "wait",
    "when_stopped",
]
