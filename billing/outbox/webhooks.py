"""What owners are told when an endpoint of theirs was switched off, or its secret is known to who is no owner any more,
in the language of their account.
"""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.WEBHOOK_DISABLED, Fact.WEBHOOK_KNOWN)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to the customer's owners."""
    data = event.data
    if event.kind == Fact.WEBHOOK_KNOWN:
        return _known(event)
    with translation.override(data["locale"]):
        subject = _("A webhook endpoint was switched off")
        reasons = {
            "gone": _("It answered 410, which says that it is gone."),
            "failing": _("Every delivery to it failed for 3 days."),
            "known": _("Somebody who is no owner any more knew its secret, which was not rotated in time."),
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


def _known(event: Event) -> mail.Letter:
    with translation.override(event.data["locale"]):
        subject = _("Somebody who is no owner any more knows a webhook's secret")
        text = _(
            "%(email)s is no owner of your account any more, and knows the secret of some of its webhook endpoints"
            " (%(count)s). They can sign posts with it, and an address may be theirs. The endpoints stay on: look at"
            " each on the page below, and delete it or rotate its secret. Those whose secret was not rotated until"
            " %(until)s are switched off then."
        )
    return mail.Letter(
        to=mail.owners_of(event.customer_id),
        about=event.subject,
        subject=subject,
        body=mail.signed(f"{text % event.data}\n\n{settings.SITE_URL}/console/webhooks"),
    )
