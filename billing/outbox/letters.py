"""Which fact makes which letter: the mail reader's table."""

from collections.abc import Callable

from billing.bonus import letters as of_bonus
from billing.invoices import letters as of_invoices
from billing.models import Event
from billing.outbox import alerts, mail
from billing.outbox import people as of_people
from billing.outbox import rerates as of_rerates
from billing.outbox import topups as of_topups
from billing.outbox import webhooks as of_webhooks
from billing.refunds import letters as of_refunds
from billing.warnings import letters as of_warnings
from billing.warnings import stopped as of_stopped

LETTERS: dict[str, Callable[[Event], mail.Letter]] = {
    **dict.fromkeys(of_bonus.WORDS, of_bonus.letter),
    **dict.fromkeys(of_refunds.WORDS, of_refunds.letter),
    **dict.fromkeys(of_invoices.WORDS, of_invoices.letter),
    **dict.fromkeys(of_people.WORDS, of_people.letter),
    **dict.fromkeys(of_rerates.WORDS, of_rerates.letter),
    **dict.fromkeys(of_webhooks.WORDS, of_webhooks.letter),
    **dict.fromkeys(of_warnings.WORDS, of_warnings.letter),
    **dict.fromkeys(of_topups.WORDS, of_topups.letter),
    **dict.fromkeys(of_stopped.WORDS, of_stopped.letter),
    **dict.fromkeys(alerts.SUBJECTS, alerts.letter),
}


def read(event: Event) -> None:
    """Write what a fact says to whom it tells."""
    mail.write(event, LETTERS[event.kind](event))
