"""Celery tasks of the accounts: what nobody needs any more is thrown away."""

from datetime import timedelta

from allauth.usersessions.models import UserSession
from celery import shared_task
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.db.models import Exists, OuterRef

from accounts.keys import issuing
from accounts.limits import rates
from accounts.models import FormerText, IdempotentAnswer, Invitation, SecurityEvent
from accounts.models.invitations import KEPT
from core.clock import database_now

ANSWERS_KEPT = timedelta(hours=24)
EVENTS_KEPT = timedelta(days=90)


@shared_task(name="accounts.tasks.tidy")
def tidy() -> None:
    """Forget sessions that have ended, counts of attempts that are over, answers kept for a repeat in vain, former
    texts of keys that work no longer, old security events, and
    invitations that nobody accepted.
    """
    call_command("clearsessions")
    alive = Session.objects.filter(session_key=OuterRef("session_key"))
    UserSession.objects.filter(~Exists(alive)).delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_cache_limits WHERE expires < now()")
    now = database_now()
    rates.forget(now=now)
    SecurityEvent.objects.filter(at__lt=now - EVENTS_KEPT).delete()
    Invitation.objects.filter(expires_at__lt=now - KEPT).exclude(state=Invitation.State.ACCEPTED).delete()
    FormerText.objects.filter(works_until__lt=now).delete()
    IdempotentAnswer.objects.filter(created_at__lt=now - ANSWERS_KEPT).delete()


@shared_task(name="accounts.tasks.end_expired_keys")
def end_expired_keys() -> None:
    """Say that keys have ended whose time is up."""
    while issuing.end_expired(now=database_now()):
        pass
