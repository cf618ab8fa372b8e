"""Mail: a reader of the outbox that makes letters of facts, and the worker that sends them, again where it must."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import Membership
from accounts.roles import Role
from billing import attachments
from billing.models import Event, Mail
from billing.outbox import readers, turns
from core.crypto import decrypt
from core.outside import outside

log = logging.getLogger(__name__)

READER = "mail"
SEALED = "{sealed}"
RETRIES = turns.Retries(first=timedelta(seconds=30), slowest=timedelta(hours=2), most=30)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a fact says in words, and to which addresses. `about` is what people know its subject by."""

    to: Sequence[str]
    about: str
    subject: str
    body: str
    document_id: int | None = None
    """Goes with it as a file."""
    attaches: str = ""
    """A file that is made as it leaves, `kind:number:language`; see `attachments.py`."""
    sealed: str = ""
    """Encrypted: a secret that takes the place of `SEALED` in what is sent, and stands nowhere else."""


def write(event: Event, letter: Letter) -> None:
    """Put a letter into the list, a message to each address; the database refuses a second one of the same fact."""
    Mail.objects.bulk_create(
        Mail(
            event=event,
            customer_id=event.customer_id,
            about=letter.about,
            to=address,
            subject=" ".join(letter.subject.split())[:200],
            body=letter.body,
            document_id=letter.document_id,
            attaches=letter.attaches,
            sealed=letter.sealed,
            created_at=event.created_at,
            send_at=event.created_at,
        )
        for address in letter.to
    )


def members_of(customer_id: int | None, *, also: Iterable[str] = ()) -> list[str]:
    """The addresses of a customer's members, and those that the customer named besides."""
    members = Membership.objects.filter(customer_id=customer_id or 0, user__is_active=True)
    known = _addresses(members)
    others = {address.lower(): address for address in also if address.lower() not in map(str.lower, known)}
    return [*known, *others.values()]


def owners_of(customer_id: int | None) -> list[str]:
    """The addresses of a customer's owners."""
    owners = Membership.objects.filter(customer_id=customer_id or 0, role=Role.OWNER, user__is_active=True)
    return _addresses(owners)


def _addresses(members: QuerySet[Membership]) -> list[str]:
    """Whoever is leaving waits until the letter is written, and then finds it among those to put aside."""
    locked = members.select_for_update(no_key=True, of=("self",)).select_related("user").order_by("pk")
    return [member.user.email for member in locked]


def put_aside_those_to(*, customer_id: int, address: str, now: datetime) -> int:
    """Somebody no longer belongs to a customer: what waits to be sent to them is given up; return how many."""
    return _put_aside(Mail.objects.filter(customer_id=customer_id, to=address), now=now)


def put_aside_those_about(about: str, *, customer_id: int, now: datetime) -> int:
    """What waits to be sent about something that is over is given up; return how many."""
    return _put_aside(Mail.objects.filter(customer_id=customer_id, about=about), now=now)


def _put_aside(mails: QuerySet[Mail], *, now: datetime) -> int:
    waiting = mails.filter(sent_at__isnull=True, put_aside_at__isnull=True)
    return waiting.update(send_at=None, put_aside_at=now)


def signed(text: str) -> str:
    """A letter's text with its ending."""
    return f"{text}\n\nChuizi\n{settings.SITE_URL}\n"


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
    """Write what facts tell and send what is waiting; return how many went. One that the server refuses comes again,
    ever later.
    """
    readers.read(READER, now=now)
    sent = 0
    for mail in turns.due(Mail.objects.all(), RETRIES, now=now, limit=limit):
        message, has_its_file = _message(mail, now=now)
        try:
            with outside():
                message.send()
        except OSError as error:  # smtplib's errors are OSErrors
            log.warning("mail %s was not sent: %s", mail.pk, type(error).__name__)
            Mail.objects.filter(pk=mail.pk).update(problem=type(error).__name__)
            if isinstance(error, TimeoutError | ConnectionError):
                break  # the server is away: the others would wait as long
            continue
        Mail.objects.filter(pk=mail.pk).update(
            sent_at=now,
            send_at=None,
            put_aside_at=None,
            problem="",
            sealed="",
            fileless_at=None if has_its_file else now,
        )
        sent += 1
    return sent


def _message(mail: Mail, *, now: datetime) -> tuple[EmailMessage, bool]:
    """What is sent, and whether it has its file. One that cannot be made keeps no mail back: the text has a link."""
    body = mail.body.replace(SEALED, decrypt(mail.sealed)) if mail.sealed else mail.body
    message = EmailMessage(mail.subject, body, settings.DEFAULT_FROM_EMAIL, [mail.to])
    if mail.document is not None:
        message.attach(mail.document.file_name, bytes(mail.document.content), mail.document.content_type)
    if mail.attaches:
        try:
            message.attach(*attachments.made(mail.attaches, customer_id=mail.customer_id, now=now))
        except Exception:
            log.exception("mail %s leaves without %s", mail.pk, mail.attaches)
            return message, False
    return message, True


def send_again(*, mail_id: int, now: datetime) -> bool:
    """Try a message from the beginning, one that was given up or put aside too; False if it has left."""
    waiting = Mail.objects.filter(pk=mail_id, sent_at__isnull=True)
    return bool(waiting.update(send_at=now, attempts=0, problem="", put_aside_at=None))


def put_aside(*, mail_id: int, now: datetime) -> bool:
    """Staff give a message up; False if it has left, or is put aside already."""
    waiting = Mail.objects.filter(pk=mail_id, sent_at__isnull=True, put_aside_at__isnull=True)
    return bool(waiting.update(send_at=None, put_aside_at=now))
