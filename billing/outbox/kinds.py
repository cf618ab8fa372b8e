"""Every kind of fact that the outbox takes, and what it says. `record` refuses any other."""

from django.db import models


class Fact(models.TextChoices):
    """Something that became true, and that somebody is to hear of.

    The label is the sentence that `ledger.md` shows. Stored with the facts: a kind is never renamed.
    """

    REFUND_ASKED = "refund.asked", "A refund was asked for, and its amount is set aside."
    REFUND_QUESTION = "refund.question", "The desk asks the customer something about a refund."
    REFUND_APPROVED = "refund.approved", "A refund was approved, whole or in part."
    REFUND_DENIED = "refund.denied", "A refund was declined, and nothing of it was sent."
    REFUND_CLOSED = "refund.closed", "A refund was sent in part, and the rest was declined."
    REFUND_DONE = "refund.done", "All that was approved of a refund has arrived."
    REFUND_BOUNCED = "refund.bounced", "A part of a refund that had arrived came back."
    REFUND_AFTER_ALL = "refund.after_all", "A part of a refund that had failed was paid after all."
    REFUND_LATE = "refund.late", "A payment came too late and goes back."

    INVOICE_ASKED = "invoice.asked", "An invoice was asked for."
    INVOICE_ISSUED = "invoice.issued", "An invoice was made, or a fapiao recorded."
    INVOICE_DENIED = "invoice.denied", "A request for an invoice was declined."
    INVOICE_POSTED = "invoice.posted", "An invoice left on paper."
    INVOICE_CREDITED = "invoice.credited", "A credit note or a red letter took an invoice back, whole or in part."
    INVOICE_REPLACED = "invoice.replaced", "An invoice that was taken back will be made anew."

    RERATE_ANNOUNCED = "rerate.announced", "Requests were charged too little, and the difference is taken in 7 days."

    ALERT_RED = "alert.red", "A figure of the desk's first page turned red."
    ALERT_STILL_RED = "alert.still_red", "A figure is red for another day."
    ALERT_GREEN = "alert.green", "A figure is green again."
    ALERT_TEST = "alert.test", "The operator tries whether alerts arrive."

    @property
    def step(self) -> str:
        """What happened, without what it happened to."""
        return self.value.partition(".")[2]


NOBODY: dict[Fact, str] = {}
"""Kinds that no reader wants, and why they are written all the same."""
