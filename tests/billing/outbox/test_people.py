"""What is told of an account's people."""

import re

import pytest
from django.core import mail as outbox
from django.utils import timezone

from accounts.models import Invitation, Membership, User
from accounts.people import inviting, team
from billing.models import Event, Mail
from billing.outbox import mail
from tests.outbox import mails


@pytest.fixture
def owner(user):
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def eve(db):
    person = User.objects.create_user("eve@example.org", language="zh-hans")
    person.emailaddress_set.create(email=person.email, verified=True)
    return person


@pytest.fixture
def invited(owner, customer):
    now = timezone.now()
    return inviting.invite(customer=customer, email="eve@example.org", role="developer", by=owner, now=now)


def join(customer, person, role="developer"):
    return Membership.objects.create(user=person, customer=customer, role=role)


def test_the_link_stands_in_the_sent_mail_alone(invited, eve):
    letter = mails().get()
    assert (letter.to, letter.customer) == ("eve@example.org", invited.customer)
    mail.send_due(now=timezone.now())
    [sent] = outbox.outbox
    token = re.search(r"/accounts/invitations/([0-9a-zA-Z]{43})\s", sent.body)[1]
    assert inviting.find(token) == invited
    letter.refresh_from_db()
    kept = str([*Mail.objects.values(), *Event.objects.values(), *Invitation.objects.values()])
    assert token not in kept
    assert letter.sealed == ""


def test_the_mail_of_an_invitation_that_was_taken_back_is_not_sent(invited, owner, customer):
    assert mails().filter(send_at__isnull=False).count() == 1
    now = timezone.now()
    again = inviting.send_again(customer=customer, invitation_id=invited.pk, by=owner, now=now)
    inviting.revoke(customer=customer, invitation_id=again.pk, by=owner, now=now)
    assert not mails().filter(send_at__isnull=False).exists()
    assert Mail.objects.count() == 1, "the second is not even written"


def test_an_accounts_name_is_no_link_and_stands_in_no_subject(owner, customer):
    customer.name = "Win at https://evil.example/now {sealed}"
    customer.save()
    inviting.invite(customer=customer, email="x@example.org", role="viewer", by=owner, now=timezone.now())
    letter = mails().get()
    assert "“Win at https evil example now sealed”" in letter.body
    assert letter.body.count("{sealed}") == 1
    assert "Win" not in letter.subject
    assert "ada@example.org invites you" in letter.body


def test_owners_hear_who_joined_and_who_left(invited, owner, eve, customer):
    colleague = User.objects.create_user("dev@example.org")
    join(customer, colleague)
    member = inviting.accept(invitation=invited, user=eve, now=timezone.now())
    assert [one.to for one in mails().filter(subject="Somebody joined your account")] == [owner.email]
    team.remove(customer=customer, member_id=member.pk, by=eve, now=timezone.now())
    left = mails().filter(subject="Somebody no longer belongs to your account")
    assert [one.to for one in left] == [owner.email]
    assert not Mail.objects.filter(about=f"member {member.pk}", to=eve.email).exists()


def test_who_is_removed_hears_of_it_in_their_language(owner, eve, customer):
    member = join(customer, eve)
    team.remove(customer=customer, member_id=member.pk, by=owner, now=timezone.now())
    letter = mails().get(to=eve.email)
    assert (letter.put_aside_at, letter.send_at is None) == (None, False)
    assert owner.email in letter.body
    assert "keys" not in letter.body, "it is in Chinese"


def test_staff_who_end_a_membership_are_told_as_support(owner, eve, customer):
    join(customer, eve).delete()
    assert "(Support)" in mails().get(to=owner.email).body


def test_each_change_of_a_role_is_told(owner, eve, customer):
    member = join(customer, eve)
    for role in ("viewer", "developer", "developer"):
        team.change_role(customer=customer, member_id=member.pk, role=role, by=owner, now=timezone.now())
    told = mails().filter(about=f"member {member.pk}")
    assert sorted(one.to for one in told) == [owner.email, owner.email, eve.email, eve.email]


def test_mail_that_waits_is_not_sent_to_who_no_longer_belongs(owner, eve, customer):
    member = join(customer, eve)
    team.change_role(customer=customer, member_id=member.pk, role="viewer", by=owner, now=timezone.now())
    assert mails().filter(to=eve.email, send_at__isnull=False).count() == 1
    team.remove(customer=customer, member_id=member.pk, by=eve, now=timezone.now())
    assert not mails().filter(to=eve.email, send_at__isnull=False).exists()
    assert eve.email not in mail.members_of(customer.pk)
