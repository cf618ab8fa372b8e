"""What a customer's owners are told of top-ups: one is credited, or automatic ones are switched off."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing import attachments
from billing.models import Event, Paper
from billing.outbox import mail
from billing.outbox.kinds import Fact

WORDS = (Fact.TOPUP_PAID, Fact.AUTO_TOPUP_DISABLED)
"""The kinds that have words here."""


def letter(event: Event) -> mail.Letter:
    """The mail to the customer's owners."""
    return _credited(event) if event.kind == Fact.TOPUP_PAID else _switched_off(event)


def _credited(event: Event) -> mail.Letter:
    """With the receipt, and the way to it."""
    data = event.data
    page = f"{settings.SITE_URL}/console/topup/{event.subject}"
    with translation.override(data["locale"]):
        values = {"amount": f"${data['amount']}", "paid": f"{data['charge']} {data['currency']}"}
        subject = _("Your top-up of %(amount)s is credited") % values
        body = _("We received your payment of %(paid)s, and %(amount)s are in your balance.") % values
        body += "\n\n" + _("Receipt (PDF):") + f" {page}/receipt.pdf"
        body += "\n" + _("The top-up:") + f" {page}"
    receipt = attachments.named(Paper.Kind.RECEIPT, event.subject, data["locale"])
    to = mail.owners_of(event.customer_id)
    return mail.Letter(to=to, about=event.subject, subject=subject, body=mail.signed(body), attaches=receipt)


def _switched_off(event: Event) -> mail.Letter:
    """With the way to pay by hand."""
    data = event.data
    with translation.override(data["locale"]):
        subject = _("Automatic top-up is switched off")
        values = {"card": data["card"], "amount": f"${data['amount']}"}
        texts = {
            "ended": _("Automatic top-up by your card %(card)s has come to the last day that you agreed to."),
            "left": _(
                "Who agreed to automatic top-up by the card %(card)s, or entered that card, is no longer an owner of"
                " the account. We have removed the card."
            ),
            "declined": _("Your card %(card)s was declined when we wanted to top up %(amount)s. Nothing was charged."),
            "authentication": _(
                "The bank of your card %(card)s wants you to confirm a top-up of %(amount)s yourself. Nothing was"
                " charged."
            ),
            "card_gone": _("Your card %(card)s can no longer be charged, so %(amount)s were not topped up."),
            "refused": _(
                "The payment provider refused a top-up of %(amount)s by your card %(card)s. Nothing was charged."
            ),
            "disputed": _("A payment of your card %(card)s is disputed at its bank. We have removed the card."),
            "fraud_warning": _("A payment of your card %(card)s was reported as fraud. We have removed the card."),
        }
        body = texts[data["off_reason"]] % values
        body += " " + _("Automatic top-up is off, and nothing more is charged by itself.")
        body += "\n\n" + _("Top up by hand:") + f" {settings.SITE_URL}/console/topup"
        body += "\n" + _("Switch it on again:") + f" {settings.SITE_URL}/console/auto-topup"
    to = mail.owners_of(event.customer_id)
    return mail.Letter(to=to, about=event.subject, subject=subject, body=mail.signed(body))
