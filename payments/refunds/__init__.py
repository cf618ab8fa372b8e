"""Sending what was approved back the way it came, in parts; each part leaves once and its end is found out.

A part's number is stored before the provider is first called, and every repeat carries it. No answer means unknown:
the provider is asked what became of the part before anything else. Lock order: the request, the part, the top-up,
then billing's wallet and holds. The provider is never called inside a transaction.
"""

from payments.refunds.acts import (
    bear,
    collect,
    give_back,
    look_at_contradiction,
    park_part,
    record_transfer,
    withdraw_transfer,
)
from payments.refunds.booking import PartError, book, new_key, sum_up
from payments.refunds.claims import claim_parts, claim_requests, contradicted, on_the_way
from payments.refunds.looking import look, look_by_key, of_customer, order_of
from payments.refunds.sending import call_off, drop_planned, send

__all__ = [
    "PartError",
    "bear",
    "book",
    "call_off",
    "claim_parts",
    "claim_requests",
    "collect",
    "contradicted",
    "drop_planned",
    "give_back",
    "look",
    "look_at_contradiction",
    "look_by_key",
    "new_key",
    "of_customer",
    "on_the_way",
    "order_of",
    "park_part",
    "record_transfer",
    "send",
    "sum_up",
    "withdraw_transfer",
]
