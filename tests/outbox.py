"""What a worker would do with the facts that a test has made true."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from billing.models import Mail
from billing.outbox import mail, readers


def mails() -> QuerySet[Mail]:
    """The mail there is once all facts are read, whatever their time."""
    while readers.read(mail.READER, now=timezone.now() + timedelta(days=3650)):
        pass
    return Mail.objects.all()
