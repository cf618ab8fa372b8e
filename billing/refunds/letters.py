"""What a customer is told at each step of a refund, in the language it was asked in."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact
from billing.requests.workdays import day_of

UNSAID = (Fact.REFUND_CANCELLED, Fact.REFUND_SENDING, Fact.REFUND_RETURNED, Fact.REFUND_EXTERNAL)
"""What the customer did, or what is between its provider and us: pages and programs show it."""
WORDS = tuple(kind for kind in Fact if kind.startswith("refund.") and kind not in UNSAID)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail about a step, to all of the customer's members."""
    data = event.data
    with translation.override(data["locale"]):
        subject, text = _words(event.kind, data)
        text += mail.who_asked(data["asked_from"], now=event.created_at)
    link = f"{settings.SITE_URL}/console/refunds/{data['number']}"
    return mail.Letter(
        to=mail.members_of(event.customer_id),
        about=data["number"],
        subject=subject,
        body=mail.signed(f"{text}\n\n{link}"),
    )


def _words(kind: str, data: dict[str, Any]) -> tuple[str, str]:
    values = {
        "amount": f"${data['amount']}",
        "approved": f"${data['approved']}",
        "arrived": f"${data['returned']}",
        "day": day_of(datetime.fromisoformat(data["due_at"])),
        "words": data["decision"],
        "question": data["question"],
        "reason": data["reason"],
    }
    subjects: dict[str, str] = {
        Fact.REFUND_ASKED: _("We received your refund request"),
        Fact.REFUND_APPROVED: _("Your refund is approved"),
        Fact.REFUND_DENIED: _("Your refund request was declined"),
        Fact.REFUND_QUESTION: _("A question about your refund request"),
        Fact.REFUND_DONE: _("Your refund is on its way to you"),
        Fact.REFUND_BOUNCED: _("Your refund came back to us"),
        Fact.REFUND_CLOSED: _("Your refund is finished in part"),
        Fact.REFUND_LATE: _("Your late payment goes back to you"),
        Fact.REFUND_AFTER_ALL: _("A refund that had failed was paid after all"),
    }
    texts: dict[str, str] = {
        Fact.REFUND_ASKED: _(
            "You asked for a refund of %(amount)s. We decide by %(day)s. Until then the amount is set aside."
        ),
        Fact.REFUND_APPROVED: _("We approved %(approved)s. It goes back the way it was paid.") + "\n\n%(words)s",
        Fact.REFUND_LATE: "%(reason)s\n\n"
        + _("%(approved)s goes back the way it was paid. You can open a new top-up any time."),
        Fact.REFUND_BOUNCED: _(
            "Of your refund of %(approved)s something came back from your bank. We look into it and write to you."
        ),
        Fact.REFUND_DENIED: _("We declined your request for %(amount)s. The amount is yours to spend again.")
        + "\n\n%(words)s",
        Fact.REFUND_QUESTION: _("About your request for %(amount)s we would like to know:") + "\n\n%(question)s",
        Fact.REFUND_DONE: _("%(arrived)s went back the way it was paid. Banks may take some days to show it."),
        Fact.REFUND_AFTER_ALL: _(
            "What had failed of your refund was paid after all: %(arrived)s went back in total. We had put it back into"
            " your balance, and took it out again."
        ),
        Fact.REFUND_CLOSED: _("%(arrived)s went back. The rest could not be sent and is yours to spend again.")
        + "\n\n%(words)s",
    }
    if kind == Fact.REFUND_APPROVED and Decimal(data["approved"]) < Decimal(data["amount"]):
        texts[kind] = _("We approved %(approved)s of %(amount)s. It goes back the way it was paid; the rest is yours.")
        texts[kind] += "\n\n%(words)s"
    return subjects[kind], (texts[kind] % values).strip()
