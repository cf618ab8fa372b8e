"""Whoever made an endpoint knows its secret: once they are no owner any more it works on, for a week unless rotated."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.keys import issuing
from accounts.models import Customer, Membership, User
from accounts.people import team
from accounts.people.customers import language_of
from billing.models import Event, Mail
from tests.conftest import NOW
from tests.desk.test_trail import customer_form
from tests.outbox import mails
from tests.staffing import at_desk
from webhooks import endpoints, known
from webhooks.endpoints import EndpointError
from webhooks.kinds import EVENTS
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db
URL = "https://93.184.216.34/hook"


def person(email: str, customer: Customer) -> User:
    user = User.objects.create_user(email, "a rather long one")
    user.emailaddress_set.create(email=email, verified=True, primary=True)
    Membership.objects.create(user=user, customer=customer, role="owner")
    return user


@pytest.fixture
def owner(customer) -> User:
    return person("ada@example.org", customer)


@pytest.fixture
def other(customer, owner) -> User:
    return person("second@example.org", customer)


@pytest.fixture
def api(customer, owner) -> Client:
    made = issuing.issue(customer=customer, name="k", now=NOW, created_by=owner, scopes=["billing", "read"])
    return Client(headers={"Authorization": f"Bearer {made.text}"})


@pytest.fixture
def theirs(customer, other) -> Endpoint:
    return endpoints.make(customer=customer, url=URL, wanted=list(EVENTS), now=NOW, made_by=other).endpoint


def again(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.get(pk=endpoint.pk)


def member_of(user: User) -> Membership:
    return Membership.objects.get(user=user)


def removed(owner, other):
    team.remove(customer=member_of(owner).customer, member_id=member_of(other).pk, by=owner, now=NOW)


def left(owner, other):
    team.remove(customer=member_of(other).customer, member_id=member_of(other).pk, by=other, now=NOW)


def demoted(owner, other):
    team.change_role(
        customer=member_of(owner).customer, member_id=member_of(other).pk, role="developer", by=owner, now=NOW
    )


def deleted_at_the_desk(owner, other):
    member_of(other).delete()


def mails_of(subject: str) -> list[Mail]:
    return list(mails().filter(subject__contains=subject).order_by("to"))


@pytest.mark.parametrize("act", [removed, left, demoted, deleted_at_the_desk])
def test_it_works_on_and_the_owners_who_remain_are_told(owner, other, theirs, customer, act):
    plain = endpoints.make(customer=customer, url=URL, wanted=list(EVENTS), now=NOW, made_by=owner).endpoint
    act(owner, other)
    found = again(theirs)
    assert found.is_active
    assert (found.created_by, found.known_to) == (other, other)
    assert found.rotate_by is not None
    assert again(plain).rotate_by is None
    [mail] = mails_of("knows a webhook")
    assert mail.to == owner.email
    assert "second@example.org" in mail.body
    assert language_of(customer) == "en"


def test_pages_and_programs_show_who_made_it_and_who_knows_its_secret(owner, other, theirs, api):
    removed(owner, other)
    page_of = at_desk(owner)
    for path in ("/console/webhooks", f"/console/webhooks/{theirs.number}"):
        page = page_of.get(path).content.decode()
        assert "made by second@example.org" in page
        assert "known to second@example.org" in page
    [row] = api.get("/v1/webhooks").json()["data"]
    assert (row["made_by"], row["known_to"]) == ("second@example.org",) * 2
    assert row["rotate_by"] == f"{NOW + known.KEEPS:%Y-%m-%dT%H:%M:%SZ}"


def test_a_rotated_secret_is_known_to_who_rotated_it(owner, other, theirs, api):
    endpoints.rotate(theirs, by=owner, now=NOW)
    removed(owner, other)
    assert again(theirs).rotate_by is None, "it knows an old one alone"
    third = endpoints.make(customer=theirs.customer, url=URL, wanted=list(EVENTS), now=NOW, made_by=None).endpoint
    api.post(f"/v1/webhooks/{third.number}/rotate", {}, content_type="application/json")
    assert again(third).shown_to == owner


def test_who_is_an_owner_again_may_know_it(owner, other, theirs, customer):
    demoted(owner, other)
    team.change_role(customer=customer, member_id=member_of(other).pk, role="owner", by=owner, now=NOW)
    assert (again(theirs).known_to, again(theirs).rotate_by) == (None, None)


def test_one_that_is_not_rotated_in_time_is_off_until_it_is(owner, other, theirs):
    removed(owner, other)
    over = NOW + known.KEEPS
    assert known.end_overdue(now=over - timedelta(seconds=1)) == 0
    assert known.end_overdue(now=over) == 1
    assert known.end_overdue(now=over) == 0
    assert again(theirs).off_why == "known"
    [mail] = mails_of("was switched off")
    assert "was not rotated in time" in mail.body
    with pytest.raises(EndpointError, match="Rotate its secret first"):
        endpoints.change(theirs, active=True, now=over)
    endpoints.rotate(theirs, by=owner, now=over)
    endpoints.change(theirs, active=True, now=over)
    assert again(theirs).is_active


def test_a_role_given_at_the_desk_is_told_and_ends_what_it_ends(owner, other, theirs, customer):
    """As by the page: the same mail, invitations revoked, secrets marked."""
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    listed = tuple(Membership.objects.filter(customer=customer).order_by("pk"))
    place = f"membership_set-{listed.index(member_of(other))}-"
    form = customer_form(customer, listed, **{f"{place}role": "viewer"})
    answer = at_desk(chief).post(f"/admin/accounts/customer/{customer.pk}/change/", form)
    assert answer.status_code == 302, answer.content
    assert again(theirs).known_to == other
    mail, to_them = mails_of("A role in an account")
    assert (mail.to, to_them.to) == (owner.email, other.email)
    assert "Support gave second@example.org another role" in mail.body
    assert Event.objects.filter(kind="member.role").count() == 1


def test_whom_the_desk_adds_is_told_and_a_membership_changes_no_person(owner, other, customer):
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    new = User.objects.create_user("new@example.org")
    desk: Client = at_desk(chief)
    form = {"user": str(new.pk), "customer": str(customer.pk), "role": "viewer", "_why": "asked for"}
    assert desk.post("/admin/accounts/membership/add/", form).status_code == 302
    assert [mail.to for mail in mails_of("Somebody was added")] == [owner.email, new.email, other.email]
    changed = {**form, "user": str(owner.pk)}
    answer = desk.post(f"/admin/accounts/membership/{member_of(new).pk}/change/", changed)
    assert "end it, and add another" in answer.content.decode()
    assert desk.post(f"/admin/accounts/membership/{member_of(new).pk}/change/", {**form, "role": "developer"})
    assert ["developer" in mail.body for mail in mails_of("A role in an account")] == [True] * 3
