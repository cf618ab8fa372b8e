"""What a customer is told before bonus ends, in the language of its account."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.BONUS_ENDS,)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to the owners."""
    data = event.data
    with translation.override(data["locale"]):
        subject = _("Some of your bonus ends in 7 days")
        text = _(
            "%(left)s of your bonus can be spent until %(at)s. What is left of it then is taken back. Requests spend"
            " bonus first, and of it what ends first. Your paid balance does not end."
        )
        body = text % {"left": f"${data['left']}", "at": data["at"]}
    to = mail.owners_of(event.customer_id)
    link = f"{settings.SITE_URL}/console/"
    return mail.Letter(to=to, about=event.subject, subject=subject, body=mail.signed(f"{body}\n\n{link}"))
