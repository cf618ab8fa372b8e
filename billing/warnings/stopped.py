"""What a customer's owners are told when their account may not spend: it is suspended, or a payment is disputed."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.people.customers import suspension_words
from billing.models import Event
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.ACCOUNT_SUSPENDED, Fact.DISPUTE_OPENED)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to the customer's owners; to nobody where another letter says it."""
    data = event.data
    if event.kind == Fact.ACCOUNT_SUSPENDED and not data.get("is_told", True):
        return mail.Letter(to=(), about=event.subject, subject="", body="")
    with translation.override(data.get("locale") or settings.LANGUAGE_CODE):
        subject, body = _disputed(event) if event.kind == Fact.DISPUTE_OPENED else _suspended(event)
        body += "\n\n" + _(
            "Requests are refused and top-ups are closed until this is settled. The balance stays yours."
        )
        body += "\n\n" + _("The account:") + f" {settings.SITE_URL}/console/"
        body += "\n" + _("Write to us:") + f" {settings.SUPPORT_EMAIL}"
    return mail.Letter(
        to=mail.owners_of(event.customer_id), about=event.subject, subject=subject, body=mail.signed(body)
    )


def _suspended(event: Event) -> tuple[str, str]:
    subject = _("Your account is suspended")
    if reason := suspension_words(event.data.get("reason", "")):
        return subject, _("We have suspended your account: %(reason)s.") % {"reason": reason.rstrip(".。")}
    return subject, _("We have suspended your account.")


def _disputed(event: Event) -> tuple[str, str]:
    data = event.data
    values = {"amount": f"{data.get('amount', '')} {data.get('currency', '')}".strip(), "topup": data.get("topup", "")}
    body = _(
        "The bank of the card that paid top-up %(topup)s has taken %(amount)s back from us, as somebody disputes that"
        " payment. The amount is set aside from your balance until the bank has decided."
    )
    body += " " + _("If it was you and by mistake, ask your bank to withdraw the dispute.")
    return _("A payment of yours is disputed"), body % values
