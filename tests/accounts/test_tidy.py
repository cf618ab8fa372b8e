"""What nobody needs any more is thrown away, and nothing else."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.models import IdempotentAnswer
from accounts.tasks import tidy


def test_tidying_keeps_what_is_still_of_use(customer):
    now = timezone.now()
    for name, age in (("old", 25), ("new", 23)):
        IdempotentAnswer.objects.create(
            customer=customer, route="POST /", key_hash=name, body_hash="", created_at=now - timedelta(hours=age)
        )
        Session.objects.create(session_key=name, session_data="", expire_date=now + timedelta(hours=24 - age))
    tidy()
    assert [answer.key_hash for answer in IdempotentAnswer.objects.all()] == ["new"]
    assert [session.session_key for session in Session.objects.all()] == ["new"]
