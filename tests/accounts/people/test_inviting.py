"""Invitations: for one address, once, for seven days."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Customer, Invitation, Membership, User, WelcomedAddress
from accounts.people import inviting, signup, team
from accounts.people.inviting import Ended, TooManyInvitations, invite
from accounts.people.team import Conflict, NotAllowed, TeamError
from accounts.signals import invitation_made
from billing.models import Wallet
from tests.conftest import NOW

DAY = timedelta(days=1)


@pytest.fixture
def tokens():
    """What the mails would hold, the last one last."""
    seen = []

    def keep(sender, token, **_given):
        seen.append(token)

    invitation_made.connect(keep)
    yield seen
    invitation_made.disconnect(keep)


@pytest.fixture
def invited(owner, customer, tokens):
    return invite(customer=customer, email="Eve@Example.org ", role="developer", by=owner, now=NOW)


@pytest.fixture
def eve(make_person):
    return make_person("eve@example.org")


def accept(invitation, user, *, now=NOW):
    return inviting.accept(invitation=invitation, user=user, now=now)


def test_it_is_kept_by_the_plain_address_and_a_hash(invited, tokens):
    assert invited.email == "eve@example.org"
    assert re.fullmatch(r"[0-9a-zA-Z]{43}", tokens[0])
    assert tokens[0] not in str(list(Invitation.objects.values()))
    assert inviting.find(tokens[0]) == invited


def test_it_is_accepted_once_with_its_role(invited, eve, customer):
    member = accept(invited, eve)
    assert (member.customer, member.role) == (customer, "developer")
    with pytest.raises(Ended):
        accept(invited, eve)
    assert Membership.objects.filter(customer=customer).count() == 2


def test_after_seven_days_it_is_over(invited, eve):
    with pytest.raises(Ended):
        accept(invited, eve, now=NOW + 7 * DAY)
    accept(invited, eve, now=NOW + 7 * DAY - timedelta(seconds=1))


@pytest.mark.parametrize(("email", "confirmed"), [("eve@example.org", False), ("mallory@example.org", True)])
def test_only_a_login_that_has_confirmed_the_address_accepts(invited, make_person, email, confirmed):
    person = make_person(email, confirmed=confirmed)
    with pytest.raises(NotAllowed):
        accept(invited, person)
    with pytest.raises(NotAllowed):
        inviting.decline(invitation=invited, user=person, now=NOW)
    assert not inviting.waiting_for(person, now=NOW).exists()


def test_any_confirmed_address_of_a_login_counts(owner, customer, make_person, invited):
    person = make_person("work@example.org")
    person.emailaddress_set.create(email="eve@example.org", verified=True)
    assert accept(invited, person).user == person


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.org", "x@" + "y" * 260 + ".org"])
def test_what_is_no_address_is_refused(owner, customer, email):
    with pytest.raises(TeamError) as refusal:
        invite(customer=customer, email=email, role="developer", by=owner, now=NOW)
    assert refusal.value.field == "email"


def test_neither_oneself_nor_a_member_is_invited(owner, customer, make_person):
    make_person("dev@example.org", customer=customer)
    for email in ("ADA@example.org", "dev@example.org"):
        with pytest.raises(Conflict):
            invite(customer=customer, email=email, role="viewer", by=owner, now=NOW)


def test_an_address_is_invited_once_at_a_time_and_anew_when_that_is_over(invited, owner, customer):
    with pytest.raises(Conflict):
        invite(customer=customer, email="eve@example.org", role="viewer", by=owner, now=NOW)
    later = invite(customer=customer, email="eve@example.org", role="viewer", by=owner, now=NOW + 8 * DAY)
    invited.refresh_from_db()
    assert (invited.state, later.state) == ("revoked", "open")
    with pytest.raises(IntegrityError, match="invitation_open_once_an_address"), transaction.atomic():
        Invitation.objects.filter(pk=invited.pk).update(state="open", ended_at=None)


def test_sent_again_it_has_another_link_and_seven_days_more(invited, owner, customer, tokens, eve):
    again = inviting.send_again(customer=customer, invitation_id=invited.pk, by=owner, now=NOW + DAY)
    assert (again.email, again.role, again.expires_at) == (invited.email, invited.role, NOW + 8 * DAY)
    with pytest.raises(Ended):
        accept(inviting.find(tokens[0]), eve)
    accept(inviting.find(tokens[1]), eve)


def test_taken_back_it_is_over_and_an_accepted_one_is_not_taken_back(invited, owner, customer, eve):
    for _ in range(2):
        inviting.revoke(customer=customer, invitation_id=invited.pk, by=owner, now=NOW)
    with pytest.raises(Ended):
        accept(invited, eve)
    other = invite(customer=customer, email="eve@example.org", role="viewer", by=owner, now=NOW)
    accept(other, eve)
    with pytest.raises(Conflict):
        inviting.revoke(customer=customer, invitation_id=other.pk, by=owner, now=NOW)


def test_twenty_are_open_and_fifty_are_sent_a_day(owner, customer):
    made = []
    for number in range(50):
        made.append(invite(customer=customer, email=f"p{number}@example.org", role="viewer", by=owner, now=NOW))
        if number == 19:
            with pytest.raises(Conflict):
                invite(customer=customer, email="more@example.org", role="viewer", by=owner, now=NOW)
        if number >= 19:
            inviting.revoke(customer=customer, invitation_id=made[number - 19].pk, by=owner, now=NOW)
    with pytest.raises(TooManyInvitations) as refusal:
        inviting.send_again(customer=customer, invitation_id=made[-1].pk, by=owner, now=NOW + timedelta(hours=1))
    assert refusal.value.retry_after == 23 * 3600 + 1
    invite(customer=customer, email="more@example.org", role="viewer", by=owner, now=NOW + DAY)


@pytest.mark.parametrize("role", ["developer", "viewer", ""])
def test_only_owners_invite(customer, make_person, owner, role):
    person = make_person("eve@example.org", customer=customer if role else None, role=role)
    with pytest.raises(NotAllowed):
        invite(customer=customer, email="x@example.org", role="viewer", by=person, now=NOW)


def test_what_an_owner_promised_ends_with_being_one(invited, owner, customer, make_person, eve):
    other = make_person("grace@example.org", customer=customer, role="owner")
    member = Membership.objects.get(user=owner)
    team.change_role(customer=customer, member_id=member.pk, role="developer", by=other, now=NOW)
    invited.refresh_from_db()
    assert invited.state == "revoked"
    theirs = invite(customer=customer, email="eve@example.org", role="owner", by=other, now=NOW)
    Membership.objects.filter(user=other).update(role="viewer")  # as staff do
    Membership.objects.filter(user=owner).update(role="owner")
    with pytest.raises(Ended):
        accept(theirs, eve)


def test_a_member_who_accepts_keeps_the_role_they_have(invited, eve, customer):
    Membership.objects.create(user=eve, customer=customer, role="owner")
    assert accept(invited, eve).role == "owner"
    assert Membership.objects.filter(user=eve).count() == 1


def test_the_invited_sign_up_without_an_account_of_their_own_or_the_credit(invited, eve, customer):
    assert signup.arrive(user=eve, address="", now=NOW) is None
    member = accept(invited, eve)
    assert signup.arrive(user=eve, address="", now=NOW) == customer
    team.remove(customer=customer, member_id=member.pk, by=eve, now=NOW)
    own = signup.arrive(user=eve, address="", now=NOW)
    assert own != customer
    assert Wallet.objects.get(customer=own).bonus == 0


def test_who_declines_is_a_customer_as_any_other(invited, eve):
    inviting.decline(invitation=invited, user=eve, now=NOW)
    own = signup.arrive(user=eve, address="", now=NOW)
    assert Wallet.objects.get(customer=own).bonus > 0
    with pytest.raises(Ended):
        accept(invited, eve)


# --- At once ------------------------------------------------------------------------------------------------------
def outcomes(*acts):
    """What each came to, all begun together: its result, or its error."""
    start = threading.Barrier(len(acts))

    def run(act):
        try:
            start.wait(20)
            return act()
        except (TeamError, IntegrityError) as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


@pytest.fixture
def committed(transactional_db, make_customer):
    customer = make_customer()
    people = []
    for email, role in (("ada@example.org", "owner"), ("grace@example.org", "owner"), ("eve@example.org", "")):
        person = User.objects.create_user(email)
        person.emailaddress_set.create(email=email, verified=True)
        people.append(person)
        if role:
            Membership.objects.create(user=person, customer=customer, role=role)
    return customer, *people


def test_two_clicks_at_once_make_one_member(committed):
    customer, ada, _grace, eve = committed
    made = invite(customer=customer, email=eve.email, role="viewer", by=ada, now=NOW)
    found = outcomes(*[lambda: accept(Invitation.objects.get(pk=made.pk), eve)] * 4)
    assert sum(isinstance(one, Membership) for one in found) == 1
    assert Membership.objects.filter(user=eve).count() == 1
    assert WelcomedAddress.objects.count() == 1


def test_taken_back_while_it_is_accepted_it_is_one_or_the_other(committed):
    customer, ada, _grace, eve = committed
    made = invite(customer=customer, email=eve.email, role="viewer", by=ada, now=NOW)
    outcomes(
        lambda: accept(Invitation.objects.get(pk=made.pk), eve),
        lambda: inviting.revoke(customer=customer, invitation_id=made.pk, by=ada, now=NOW),
    )
    made.refresh_from_db()
    assert Membership.objects.filter(user=eve).exists() == (made.state == "accepted")


def test_an_owner_who_is_made_less_while_inviting_leaves_nothing_open(committed):
    customer, ada, grace, _eve = committed
    member = Membership.objects.get(user=ada)
    outcomes(
        lambda: invite(customer=customer, email="x@example.org", role="owner", by=ada, now=NOW),
        lambda: team.change_role(customer=customer, member_id=member.pk, role="viewer", by=grace, now=NOW),
    )
    assert not Invitation.objects.filter(state="open").exists()


def test_two_owners_who_make_each_other_less_at_once_leave_one(committed):
    customer, ada, grace, _eve = committed
    members = {user: Membership.objects.get(user=user).pk for user in (ada, grace)}

    def lessen(whom, by):
        return team.change_role(customer=customer, member_id=members[whom], role="viewer", by=by, now=NOW)

    found = outcomes(lambda: lessen(ada, grace), lambda: lessen(grace, ada))
    assert sum(isinstance(one, NotAllowed) for one in found) == 1
    assert Membership.objects.filter(customer=customer, role="owner").count() == 1


def test_the_database_itself_keeps_an_owner_for_whoever_writes(committed):
    customer, ada, grace, _eve = committed

    def lessen(user):
        return Membership.objects.filter(user=user).update(role="viewer")

    found = outcomes(lambda: lessen(ada), lambda: lessen(grace))
    assert sum("at least one owner" in str(one) for one in found) == 1
    assert Membership.objects.filter(customer=customer, role="owner").count() == 1


def test_both_leaving_at_once_one_stays(committed):
    customer, ada, grace, _eve = committed
    members = {user: Membership.objects.get(user=user).pk for user in (ada, grace)}
    outcomes(
        *[
            lambda user=user: team.remove(customer=customer, member_id=members[user], by=user, now=NOW)
            for user in members
        ]
    )
    assert Membership.objects.filter(customer=customer).count() == 1
    assert Customer.objects.filter(pk=customer.pk).exists()
