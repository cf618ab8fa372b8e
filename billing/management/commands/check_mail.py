"""`check_mail --to A`: send one mail, now, the way all mail goes."""

from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Send a test mail and say whether the mail server took it. Exit 1 if it did not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", required=True, help="the address that it goes to")

    def handle(self, *args: Any, **options: Any) -> None:
        body = f"Mail of Chuizi at {settings.SITE_URL} leaves."
        message = EmailMessage("Chuizi: a test mail", body, settings.DEFAULT_FROM_EMAIL, [options["to"]])
        try:
            message.send()
        except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
            raise CommandError(f"The mail did not leave: {type(error).__name__}: {error}") from None
        self.stdout.write(f"The mail server took a mail from {settings.DEFAULT_FROM_EMAIL} to {options['to']}.")
        if settings.EMAIL_BACKEND.split(".")[-2] in ("console", "filebased", "dummy", "locmem"):
            self.stdout.write("It goes nowhere: EMAIL_URL names no mail server.")
