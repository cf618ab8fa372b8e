"""What a customer is told at each step of a refund, in the language it was asked in."""

from datetime import datetime

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import RefundRequest
from billing.outbox import mail
from billing.requests.workdays import day_of


def tell(refund: RefundRequest, step: str, *, now: datetime, asked_from: str = "") -> None:
    """Write the mail of a step (a key of `subjects` below), in the step's transaction.

    `asked_from` is the address that a request of a customer's came from.
    """
    with translation.override(refund.locale):
        subject, text = _words(refund, step)
        link = f"{settings.SITE_URL}/console/refunds/{refund.number}"
        text += mail.who_asked(asked_from, now=now)
        mail.write(customer=refund.customer, about=refund.number, subject=subject, body=f"{text}\n\n{link}", now=now)


def _words(refund: RefundRequest, step: str) -> tuple[str, str]:
    values = {
        "amount": f"${refund.amount}",
        "approved": f"${refund.approved}",
        "arrived": f"${refund.returned}",
        "day": day_of(refund.due_at),
        "words": refund.decision,
        "question": refund.question,
        "reason": refund.reason,
    }
    subjects = {
        "asked": _("We received your refund request"),
        "approved": _("Your refund is approved"),
        "denied": _("Your refund request was declined"),
        "question": _("A question about your refund request"),
        "done": _("Your refund is on its way to you"),
        "bounced": _("Your refund came back to us"),
        "closed": _("Your refund is finished in part"),
        "late": _("Your late payment goes back to you"),
        "after_all": _("A refund that had failed was paid after all"),
    }
    texts = {
        "asked": _("You asked for a refund of %(amount)s. We decide by %(day)s. Until then the amount is set aside."),
        "approved": _("We approved %(approved)s. It goes back the way it was paid.") + "\n\n%(words)s",
        "late": "%(reason)s\n\n" + _("%(approved)s goes back the way it was paid. You can open a new top-up any time."),
        "bounced": _(
            "Of your refund of %(approved)s something came back from your bank. We look into it and write to you."
        ),
        "denied": _("We declined your request for %(amount)s. The amount is yours to spend again.") + "\n\n%(words)s",
        "question": _("About your request for %(amount)s we would like to know:") + "\n\n%(question)s",
        "done": _("%(arrived)s went back the way it was paid. Banks may take some days to show it."),
        "after_all": _(
            "What had failed of your refund was paid after all: %(arrived)s went back in total. We had put it back into"
            " your balance, and took it out again."
        ),
        "closed": _("%(arrived)s went back. The rest could not be sent and is yours to spend again.") + "\n\n%(words)s",
    }
    if step == "approved" and refund.approved is not None and refund.approved < refund.amount:
        texts[step] = _("We approved %(approved)s of %(amount)s. It goes back the way it was paid; the rest is yours.")
        texts[step] += "\n\n%(words)s"
    return subjects[step], (texts[step] % values).strip()
