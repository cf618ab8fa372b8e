"""`check_alerts`: send one test alert by each way that is set, now, and say what became of it."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.models import AlertPost, Mail
from billing.outbox import alerts, mail


class Command(BaseCommand):
    help = "Send a test alert to ALERT_EMAILS and ALERT_WEBHOOK, and say whether they took it. Exit 1 if one did not."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.ALERT_EMAILS and not settings.ALERT_WEBHOOK:
            raise CommandError("Nobody would be told: set ALERT_EMAILS, ALERT_WEBHOOK or both.")
        now = timezone.now()
        alerts.test(now=now)
        mail.send_due(now=now)
        alerts.post_due(now=now)
        wrong = 0
        for message in Mail.objects.filter(about="alert", created_at=now):
            self.stdout.write(f"mail to {message.to}: {message.problem or 'sent'}")
            wrong += message.sent_at is None
        for post in AlertPost.objects.filter(created_at=now):
            self.stdout.write(f"POST {settings.ALERT_WEBHOOK}: {post.problem or 'taken'} ({post.message_id})")
            self.stdout.write(f"  check its signature with {alerts.secret()}")
            wrong += post.sent_at is None
        if wrong:
            raise CommandError(f"{wrong} of them did not arrive.")
