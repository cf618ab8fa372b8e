"""What nobody needs any more is thrown away, and nothing else."""

from datetime import timedelta

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import IdempotentAnswer, Invitation, SecurityEvent
from accounts.tasks import tidy


def test_tidying_keeps_what_is_still_of_use(user, customer):
    now = timezone.now()
    for name, age in (("old", 25), ("new", 23)):
        IdempotentAnswer.objects.create(
            customer=customer, route="POST /", key_hash=name, body_hash="", created_at=now - timedelta(hours=age)
        )
        UserSession.objects.create(user=user, ip="203.0.113.1", session_key=name)
        Session.objects.create(session_key=name, session_data="", expire_date=now + timedelta(hours=24 - age))
    for age in (91, 89):
        SecurityEvent.objects.create(user=user, kind="login", about=str(age), at=now - timedelta(days=age))
    for name, age, state in (
        ("waits", 89, "open"),
        ("over", 91, "open"),
        ("no", 91, "declined"),
        ("in", 91, "accepted"),
    ):
        Invitation.objects.create(
            customer=customer,
            email=f"{name}@example.org",
            role="viewer",
            state=state,
            token_hash=name,
            expires_at=now - timedelta(days=age),
            ended_at=None if state == "open" else now,
        )
    tidy()
    assert set(Invitation.objects.values_list("token_hash", flat=True)) == {"waits", "in"}
    assert [answer.key_hash for answer in IdempotentAnswer.objects.all()] == ["new"]
    assert [session.session_key for session in Session.objects.all()] == ["new"]
    assert [session.session_key for session in UserSession.objects.all()] == ["new"]
    assert [event.about for event in SecurityEvent.objects.all()] == ["89"]
