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
