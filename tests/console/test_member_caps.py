"""An owner sets what all keys of a member may spend, on the page and over the API; the desk looks at it."""

from decimal import Decimal

import pytest

from accounts.keys import issuing
from accounts.models import KeyMeter, MemberMeter, Membership, User
from accounts.people import team
from tests.staffing import at_desk, in_role


@pytest.fixture
def member(customer, user) -> Membership:
    person = User.objects.create_user("dev@example.org", "a rather long one")
    return Membership.objects.create(user=person, customer=customer, role="developer")


def test_an_owner_caps_a_member_on_the_members_page(browser_client, member, customer, now):
    key = issuing.issue(customer=customer, name="k", now=now, created_by=member.user).key
    KeyMeter.objects.filter(pk=key.pk).update(total_spent=Decimal(3), total_charged=Decimal(2))
    path = f"/console/team/{member.pk}"
    answer = browser_client.post(f"{path}/caps", {"daily_limit": "", "total_limit": "12"}, follow=True)
    assert "$3.0000 of $12.00" in " ".join(answer.content.decode().split())
    assert MemberMeter.objects.get(membership=member).total_spent == 3
    wrong = browser_client.post(f"{path}/caps", {"daily_limit": "-1"})
    assert (wrong.status_code, 'id="id_daily_limit_error"' in wrong.content.decode()) == (400, True)
    member.refresh_from_db()
    assert (member.daily_limit, member.total_limit) == (None, 12)
    page = at_desk(in_role("support", "s@staff.example.org")).get(f"/admin/accounts/membership/{member.pk}/change/")
    assert "at most $12.00; charged $2.0000, held $1.0000" in page.content.decode()
    page = at_desk(in_role("support", "t@staff.example.org")).get(f"/admin/accounts/apikey/{key.pk}/change/")
    assert "charged $2.0000, held $1.0000" in page.content.decode()


def test_a_program_caps_a_member_and_sees_what_is_spent(client, key, member):
    headers = {"Authorization": f"Bearer {key.text}"}
    path = f"/v1/members/{member.pk}"
    answer = client.patch(path, {"monthly_limit": "5"}, content_type="application/json", headers=headers)
    data = answer.json()["data"]
    assert (data["monthly_limit"], data["monthly_spent"], data["role"]) == ("5.00000000", "0.00000000", "developer")
    assert client.get(path, headers=headers).json()["data"]["monthly_limit"] == "5.00000000"
    refused = client.patch(path, {"monthly_limit": "-5"}, content_type="application/json", headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "monthly_limit")


@pytest.mark.django_db(transaction=True)
def test_a_key_that_goes_over_to_a_member_counts_within_the_members_caps(member, customer, user, now):
    from billing.limits import members

    keeper = Membership.objects.get(user=user, customer=customer)
    members.set_caps(membership=keeper, caps={"total_limit": Decimal(9)}, now=now)
    key = issuing.issue(customer=customer, name="k", now=now, created_by=member.user).key
    KeyMeter.objects.filter(pk=key.pk).update(total_spent=Decimal(3))
    team.remove(customer=customer, member_id=member.pk, by=user, now=now, keep=[key.pk], under=keeper.pk)
    assert MemberMeter.objects.get(membership=keeper).total_spent == 3


@pytest.fixture
def meanwhile(monkeypatch):
    """A function: have something happen once, when whoever acts on a team comes to its lock."""

    def plan(act) -> None:
        acts, wait = [act], team.lock

        def late(customer):
            if acts:
                acts.pop()()
            return wait(customer)

        monkeypatch.setattr(team, "lock", late)

    return plan


def put(client, key, member, **fields):
    headers = {"Authorization": f"Bearer {key.text}"}
    return client.patch(f"/v1/members/{member.pk}", fields, content_type="application/json", headers=headers)


@pytest.fixture
def owners_key(customer, user, now):
    return issuing.issue(customer=customer, name="o", now=now, created_by=user, scopes=["billing"])


def test_who_is_demoted_meanwhile_sets_no_cap(browser_client, client, owners_key, member, user, customer, meanwhile):
    def demote() -> None:
        Membership.objects.filter(user=user).update(role="developer")

    Membership.objects.filter(pk=member.pk).update(role="owner")
    meanwhile(demote)
    page = browser_client.post(f"/console/team/{member.pk}/caps", {"total_limit": "12"})
    assert page.status_code == 403
    Membership.objects.filter(user=user).update(role="owner")
    meanwhile(demote)
    answer = put(client, owners_key, member, total_limit="12")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")
    member.refresh_from_db()
    assert member.total_limit is None


def test_who_has_left_meanwhile_is_given_no_cap(browser_client, client, owners_key, member, meanwhile):
    meanwhile(member.delete)
    page = browser_client.post(f"/console/team/{member.pk}/caps", {"total_limit": "12"})
    assert (page.status_code, "no such member, or no longer" in page.content.decode()) == (400, True)


def test_a_program_that_caps_who_has_left_meanwhile_is_told(client, owners_key, member, meanwhile):
    meanwhile(member.delete)
    answer = put(client, owners_key, member, total_limit="12")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "state_conflict")


def test_a_cap_does_not_give_back_a_role_that_was_taken_meanwhile(client, owners_key, member, meanwhile):
    Membership.objects.filter(pk=member.pk).update(role="owner")
    meanwhile(lambda: Membership.objects.filter(pk=member.pk).update(role="viewer"))
    answer = put(client, owners_key, member, total_limit="12")
    assert (answer.status_code, answer.json()["data"]["role"]) == (200, "viewer")
