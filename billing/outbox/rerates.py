"""What a customer is told before a re-rating takes something, in the language of its account."""

from decimal import Decimal

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.RERATE_ANNOUNCED,)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to all of the customer's members."""
    data = event.data
    with translation.override(data["locale"]):
        subject = _("Requests that were charged too little")
        text = _(
            "Requests to %(model)s from %(first)s to %(last)s were charged by a wrong price, %(amount)s too little."
            " From %(from)s on we take the difference from your balance, and never more than is available then."
            " Each request's receipt shows both figures."
        )
        values = {**data, "amount": f"${data['amount']}"}
        body = text % values
        if Decimal(data["back"]):
            body += " " + _("For others you get %(back)s back.") % {"back": f"${data['back']}"}
        body += "\n\n" + _("If you think that this is wrong, write to %(support)s.") % {
            "support": settings.SUPPORT_EMAIL
        }
    link = f"{settings.SITE_URL}/console/usage"
    return mail.Letter(
        to=mail.members_of(event.customer_id),
        about=event.subject,
        subject=subject,
        body=mail.signed(f"{body}\n\n{link}"),
    )
