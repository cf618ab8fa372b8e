"""Every kind of fact that the outbox takes, and what it says. `record` refuses any other."""

from collections.abc import Mapping
from enum import StrEnum

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
    REFUND_CANCELLED = "refund.cancelled", "The customer took a request for a refund back."
    REFUND_SENDING = "refund.sending", "A refund that was approved is being sent."
    REFUND_RETURNED = "refund.returned", "A refund is back at the desk: something went wrong on its way."
    REFUND_EXTERNAL = "refund.external", "A refund that was begun at the provider is booked."

    INVOICE_ASKED = "invoice.asked", "An invoice was asked for."
    INVOICE_ISSUED = "invoice.issued", "An invoice was made, or a fapiao recorded."
    INVOICE_DENIED = "invoice.denied", "A request for an invoice was declined."
    INVOICE_POSTED = "invoice.posted", "An invoice left on paper."
    INVOICE_CREDITED = "invoice.credited", "A credit note or a red letter took an invoice back, whole or in part."
    INVOICE_REPLACED = "invoice.replaced", "An invoice that was taken back will be made anew."

    RERATE_ANNOUNCED = "rerate.announced", "Requests were charged too little, and the difference is taken in 7 days."

    BONUS_ENDS = "bonus.ends", "Some of the bonus ends in 7 days."

    BALANCE_LOW = "balance.low", "The balance fell below what the account wants to be warned at."
    BUDGET_REACHED = "budget.reached", "A share of a budget or a cap is spent."
    WEEK_SUMMARY = "week.summary", "A week of an account is over, whose owners want to read of it."
    TOPUP_PAID = "topup.paid", "A top-up was paid and is credited."
    TOPUP_FAILED = "topup.failed", "A top-up failed: nothing was paid."
    AUTO_TOPUP_DISABLED = "auto_topup.disabled", "Automatic top-up was switched off."
    DISPUTE_OPENED = "dispute.opened", "A payment is disputed at the bank that made it."
    ACCOUNT_SUSPENDED = "account.suspended", "An account may not spend any more."
    STATEMENT_CLOSED = "statement.closed", "A month is over and its statement no longer changes."
    KEY_CREATED = "key.created", "A key was made."
    KEY_ENDED = "key.ended", "A key was deleted, or it expired."
    INVITATION_SENT = "invitation.sent", "An address was invited into an account."
    MEMBER_JOINED = "member.joined", "Somebody accepted an invitation into an account."
    MEMBER_ADDED = "member.added", "The operator put somebody into an account."
    MEMBER_ROLE = "member.role", "A member of an account got another role."
    MEMBER_LEFT = "member.left", "Somebody no longer belongs to an account; its owners hear of it."
    MEMBER_REMOVED = "member.removed", "Somebody no longer belongs to an account, and did not leave; they hear of it."
    BALANCE_CROSSED = "balance.crossed", "The balance fell below what its automatic top-up watches."

    WEBHOOK_DISABLED = (
        "webhook.disabled",
        "An endpoint of webhooks was switched off: it is gone, it fails, or its secret was known for too long.",
    )
    WEBHOOK_KNOWN = "webhook.known", "Somebody who is no owner any more knows secrets of webhooks."

    ALERT_RED = "alert.red", "A figure of the desk's first page turned red."
    ALERT_STILL_RED = "alert.still_red", "A figure is red for another day."
    ALERT_GREEN = "alert.green", "A figure is green again."
    ALERT_TEST = "alert.test", "The operator tries whether alerts arrive."

    @property
    def step(self) -> str:
        """What happened, without what it happened to."""
        return self.value.partition(".")[2]


class Shown(StrEnum):
    """What a fact is about, as the account API shows it: `objects.py` has how, and `docs/webhooks.md` what is in it."""

    TOPUP = "topup"
    REFUND = "refund"
    INVOICE = "invoice"
    CREDITS = "credits"
    BUDGET = "budget"
    AUTO_TOPUP = "auto_topup"
    DISPUTE = "dispute"
    ACCOUNT = "account"
    STATEMENT = "statement"
    KEY = "key"


EVENTS: Mapping[Fact, tuple[str, Shown]] = {
    **{fact: ("refund.updated", Shown.REFUND) for fact in Fact if fact.startswith("refund.")},
    Fact.INVOICE_ISSUED: ("invoice.issued", Shown.INVOICE),
    Fact.BALANCE_LOW: ("balance.low", Shown.CREDITS),
    Fact.BUDGET_REACHED: ("budget.reached", Shown.BUDGET),
    Fact.TOPUP_PAID: ("topup.paid", Shown.TOPUP),
    Fact.TOPUP_FAILED: ("topup.failed", Shown.TOPUP),
    Fact.AUTO_TOPUP_DISABLED: ("auto_topup.disabled", Shown.AUTO_TOPUP),
    Fact.DISPUTE_OPENED: ("dispute.opened", Shown.DISPUTE),
    Fact.ACCOUNT_SUSPENDED: ("account.suspended", Shown.ACCOUNT),
    Fact.STATEMENT_CLOSED: ("statement.closed", Shown.STATEMENT),
    Fact.KEY_CREATED: ("key.created", Shown.KEY),
    Fact.KEY_ENDED: ("key.ended", Shown.KEY),
}
"""What customers' programs hear of: the event of each kind, and the object that goes with it."""

NOBODY: dict[Fact, str] = {}
"""Kinds that no reader wants, and why they are written all the same."""
