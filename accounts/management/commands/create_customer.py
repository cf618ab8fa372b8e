"""`create_customer --email E`: a confirmed user and customer with the welcome credit. Again, it changes nothing."""

import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from accounts.models import Membership, User
from accounts.people import signup


class Command(BaseCommand):
    help = "Create a confirmed user and customer with the welcome credit; print a password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"{options['email']!r} is not an email address.") from None
        user = User.objects.filter(email=email).first()
        if user is not None and Membership.objects.filter(user=user).exists():
            self.stdout.write(f"{email} is there already; nothing was changed.")
            return
        password = ""
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(email, password)
        EmailAddress.objects.update_or_create(user=user, email=email, defaults={"verified": True, "primary": True})
        signup.confirm(user=user, address="", now=timezone.now())
        self.stdout.write(f"{email} is ready." + (f" Password: {password}" if password else ""))
