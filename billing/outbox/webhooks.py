"""What owners are told when an endpoint of theirs was switched off, in the language of their account."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.WEBHOOK_DISABLED,)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to the customer's owners."""
    data = event.data
    with translation.override(data["locale"]):
        subject = _("A webhook endpoint was switched off")
        reasons = {
            "gone": _("It answered 410, which says that it is gone."),
            "failing": _("Every delivery to it failed for 3 days."),
        }
        text = _("We no longer post events to %(place)s.") % {"place": data["place"]}
        ending = _("What happens from now on is not sent to it. Put it right and switch it on again on the page below.")
    link = f"{settings.SITE_URL}/console/webhooks/{data['number']}"
    return mail.Letter(
        to=mail.owners_of(event.customer_id),
        about=event.subject,
        subject=subject,
        body=mail.signed(f"{text} {reasons[data['why']]}\n\n{ending}\n\n{link}"),
    )
