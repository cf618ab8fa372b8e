"""Every kind of transfer that the books take, and what it moves. `post` refuses any other."""

from django.db import models


class Kind(models.TextChoices):
    """The label is the sentence that `ledger.md` shows. Stored with the transfers: a kind is never renamed."""

    TOPUP = "topup", "A payment's credit reaches the paid balance, from the provider's account or by way of `fx:USD`."
    TOPUP_CHARGE = "topup_charge", "What a payment in another currency brought, without the fee, is exchanged."
    TOPUP_FEE = "topup_fee", "The fee that a customer paid on top of a credit."
    TOPUP_FEE_DISPUTED = "topup_fee_disputed", "The fee's share of what a dispute took, which the house bears."
    TOPUP_FEE_REINSTATED = "topup_fee_reinstated", "The fee's share of what a dispute gave back."

    USAGE = "usage", "A request's charge, as far as paid balance pays for it."
    USAGE_BONUS = "usage_bonus", "A request's charge, as far as bonus pays for it."
    REVERSAL = "reversal", "A request's charge is given back to the balance that it came from."
    RERATE = "rerate", "What a corrected price takes off a request's charge goes back, paid balance first."
    RERATE_UP = "rerate_up", "What a corrected price adds to a request's charge, days after it was announced."

    GRANT = "grant", "Bonus that the house gives."
    BONUS_EXPIRED = "bonus_expired", "Bonus whose time is up goes back to the house."
    ADJUSTMENT = "adjustment", "A correction of a balance that one of finance proposed and another posted."
    WRITE_OFF = "write_off", "What a customer owes and the house bears."
    WRITE_OFF_RECOVERED = "write_off_recovered", "What the house bore, and its provider gave back after all."
    ENTRY = "entry", "A journal entry by hand, between two accounts of the house."

    REFUND = "refund", "A part of a refund leaves the paid balance, or the customer pays what is owed for one."
    REFUND_DONE = "refund_done", "A part that was in transit has arrived; the other way, it came back."
    REFUND_CHARGE = "refund_charge", "What a part in another currency paid back, without the fee, is exchanged."
    REFUND_FEE = "refund_fee", "The top-up's fee that goes back with a part."
    REFUND_FAILED = "refund_failed", "A part did not arrive: it is the customer's again."
    REFUND_EXCESS = "refund_excess", "A part was paid after it had failed, and the balance could not pay for it."
    REFUND_EXCESS_BACK = "refund_excess_back", "Such a part came back: the customer owes nothing for it any more."

    DISPUTE = "dispute", "What a dispute took of the credit."
    DISPUTE_REINSTATED = "dispute_reinstated", "What a dispute gave back of it."

    FEE = "fee", "What a provider took for itself."
    FEE_RETURNED = "fee_returned", "What a provider gave back of a dispute's fee."
    PAYOUT = "payout", "What a provider paid out to our bank; the other way, a payout came back."
    SETTLEMENT = "settlement", "What a statement's line settles in another currency than was charged is exchanged."
    PURCHASE = "purchase", "What upstreams take for requests that were answered, owed to them until it is paid."

    OTHERS = "others", "What another shop's payment moved on a shared account, and its correction."


KINDS = frozenset(Kind.values)
