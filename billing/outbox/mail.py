"""Mail to customers: written with the fact, sent by a worker, tried again when the mail server is away."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Customer, Membership
from billing.models import Document, Mail
from core.outside import outside

log = logging.getLogger(__name__)

FIRST_RETRY, SLOWEST_RETRY, MOST_ATTEMPTS = timedelta(seconds=30), timedelta(hours=2), 30


def write(
    *,
    customer: Customer,
    about: str,
    subject: str,
    body: str,
    now: datetime,
    document: Document | None = None,
    also: Iterable[str] = (),
) -> None:
    """Put a message to each of the customer's members into the list, in the caller's transaction.

    `also` are addresses that the customer named besides; `document` goes with each message as a file.
    """
    members = Membership.objects.filter(customer=customer, user__is_active=True).values_list("user__email", flat=True)
    known = {address.lower() for address in members}
    others = {address.lower(): address for address in also if address.lower() not in known}
    ending = f"\n\nChuizi\n{settings.SITE_URL}\n"
    Mail.objects.bulk_create(
        Mail(
            customer=customer,
            about=about,
            to=address,
            subject=" ".join(subject.split())[:200],
            body=body + ending,
            document=document,
            created_at=now,
            send_at=now,
        )
        for address in (*members, *others.values())
    )


def who_asked(address: str, *, now: datetime) -> str:
    """What a mail about a request says to members who did not send it; empty where it came from no address."""
    if not address:
        return ""
    text = _(
        "It was sent on %(time)s from the address %(address)s. If that was none of you, cancel it on the page below,"
        " change your passwords, delete your API keys and write to %(support)s."
    )
    time = f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return "\n\n" + text % {"time": time, "address": address, "support": settings.SUPPORT_EMAIL}


def send_due(*, now: datetime, limit: int = 100) -> int:
    """Send what is waiting; return how many went. One that the server refuses comes again, ever later."""
    sent = 0
    for mail_id in _claim(now=now, limit=limit):
        mail = Mail.objects.select_related("document").get(pk=mail_id)
        message = EmailMessage(mail.subject, mail.body, settings.DEFAULT_FROM_EMAIL, [mail.to])
        if mail.document is not None:
            message.attach(mail.document.file_name, bytes(mail.document.content), mail.document.content_type)
        try:
            with outside():
                message.send()
        except OSError as error:  # smtplib's errors are OSErrors
            log.warning("mail %s was not sent: %s", mail.pk, type(error).__name__)
            Mail.objects.filter(pk=mail.pk).update(problem=type(error).__name__)
            continue
        Mail.objects.filter(pk=mail.pk).update(sent_at=now, send_at=None, put_aside_at=None, problem="")
        sent += 1
    return sent


def send_again(*, mail_id: int, now: datetime) -> bool:
    """Try a message from the beginning, one that was given up or put aside too; False if it has left."""
    waiting = Mail.objects.filter(pk=mail_id, sent_at__isnull=True)
    return bool(waiting.update(send_at=now, attempts=0, problem="", put_aside_at=None))


def put_aside(*, mail_id: int, now: datetime) -> bool:
    """Staff give a message up; False if it has left, or is put aside already."""
    waiting = Mail.objects.filter(pk=mail_id, sent_at__isnull=True, put_aside_at__isnull=True)
    return bool(waiting.update(send_at=None, put_aside_at=now))


def _claim(*, now: datetime, limit: int) -> list[int]:
    """Mail whose turn it is, its next turn set: a worker that dies on the way loses none."""
    with transaction.atomic():
        due = list(
            Mail.objects.filter(send_at__lte=now)
            .select_for_update(skip_locked=True, no_key=True)
            .order_by("send_at")[:limit]
        )
        for mail in due:
            delay = min(FIRST_RETRY * (1 << min(mail.attempts, 10)), SLOWEST_RETRY)
            is_over = mail.attempts + 1 >= MOST_ATTEMPTS
            Mail.objects.filter(pk=mail.pk).update(attempts=mail.attempts + 1, send_at=None if is_over else now + delay)
    return [mail.pk for mail in due]
