"""What staff do is written down: who, what, before and after, why, from where; and nobody takes it back."""

import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection, transaction
from django.test import AsyncClient
from django.urls import reverse

from accounts.models import Customer, Membership, StaffAction, User
from accounts.people import customers
from proxy.models import Upstream
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(db):
    return User.objects.create_superuser("chief@example.org", "a rather long one")


@pytest.fixture
def desk(chief):
    return at_desk(chief)


def customer_form(customer: Customer, members: tuple[Membership, ...] = (), **fields: str) -> dict[str, str]:
    form = {"name": customer.name, "group": customer.group, "rpm_limit": ""}
    form |= {"membership_set-TOTAL_FORMS": str(len(members)), "membership_set-INITIAL_FORMS": str(len(members))}
    for number, member in enumerate(members):
        prefix = f"membership_set-{number}-"
        form |= {prefix + "id": str(member.pk), prefix + "customer": str(customer.pk)}
        form |= {prefix + "user": str(member.user_id), prefix + "role": member.role}
    return form | fields


def test_a_changed_form_leaves_who_what_before_after_and_from_where(desk, chief, customer, settings):
    settings.TRUSTED_PROXY_DEPTH = 1
    path = reverse("admin:accounts_customer_change", args=[customer.pk])
    assert 'name="why"' in desk.get(path).content.decode()
    form = customer_form(customer, group="large", why="They grew")
    assert desk.post(path, form, headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 302
    done = StaffAction.objects.get()
    assert (done.user, done.action, done.object_type, done.object_id) == (
        chief,
        "change",
        "accounts.customer",
        str(customer.pk),
    )
    assert (done.before, done.after, done.why) == ({"group": "default"}, {"group": "large"}, "They grew")
    assert (done.address, done.customer, done.object_text) == ("203.0.113.9", customer, "Ada")


def test_rows_that_go_along_with_a_form_are_written_down_too(desk, customer, user):
    member = Membership.objects.get()
    Membership.objects.create(user=User.objects.create_user("grace@example.org"), customer=customer)
    path = reverse("admin:accounts_customer_change", args=[customer.pk])
    changed = customer_form(customer, (member,), **{"membership_set-0-role": "developer"})
    assert desk.post(path, changed).status_code == 302
    done = StaffAction.objects.get()
    name = f"accounts.membership {member.pk}"
    assert (done.before, done.after) == ({name: {"role": "owner"}}, {name: {"role": "developer"}})
    desk.post(path, changed | {"membership_set-0-DELETE": "on"})
    done = StaffAction.objects.order_by("-pk")[0]
    assert done.before[name]["user_id"] == user.pk
    assert name not in done.after


def test_a_new_row_and_a_deleted_row_are_written_down_whole(desk, customer, user):
    other = User.objects.create_user("grace@example.org", "a rather long one")
    desk.post(reverse("admin:accounts_membership_add"), {"user": other.pk, "customer": customer.pk, "role": "owner"})
    member = Membership.objects.get(user=other)
    added = StaffAction.objects.get()
    assert (added.action, added.before, added.customer) == ("add", {}, customer)
    assert (added.after["user_id"], added.after["role"]) == (other.pk, "owner")
    desk.post(reverse("admin:accounts_membership_delete", args=[member.pk]), {"post": "yes"})
    gone = StaffAction.objects.order_by("-pk")[0]
    assert (gone.action, gone.object_id, gone.after, gone.customer) == ("delete", str(member.pk), {}, customer)
    assert gone.before["user_id"] == other.pk


def test_whoever_is_put_into_a_role_is_written_down(desk, chief):
    user = in_role("support")
    page = desk.get(reverse("admin:accounts_user_change", args=[user.pk]))
    form = {name: value for name, value in page.context["adminform"].form.initial.items() if value is not None}
    groups = [*(group.pk for group in form.pop("groups")), in_role("finance").groups.get().pk]
    given = {name: form[name] for name in ("email", "language")} | {"groups": groups, "is_active": "on"}
    inline = {"membership_set-TOTAL_FORMS": "0", "membership_set-INITIAL_FORMS": "0"}
    answer = desk.post(reverse("admin:accounts_user_change", args=[user.pk]), given | inline)
    assert answer.status_code == 302, answer.context["adminform"].errors
    done = StaffAction.objects.get()
    assert done.before["groups"] == ["support"]
    assert done.after["groups"] == ["finance", "support"]
    assert (done.before["is_staff"], done.after["is_staff"]) == (True, False)


def test_secrets_are_written_down_as_changed_and_never_as_text(desk, chief, db):
    upstream = Upstream.objects.create(
        name="main", protocol="openai", base_url="https://api.example.com/v1", api_key="sk-old-secret"
    )
    fields = {"name": "main", "protocol": "openai", "base_url": "https://api.example.com/v1", "priority": 1}
    fields |= {"timeout_seconds": 120, "total_timeout_seconds": 3600, "bills_abandoned": "on", "is_active": "on"}
    fields |= {"new_api_key": "sk-new-secret", "currency": "USD"}
    assert desk.post(reverse("admin:proxy_upstream_change", args=[upstream.pk]), fields).status_code == 302
    passwords = {"password1": "another long one!", "password2": "another long one!", "usable_password": "true"}
    path = reverse("admin:auth_user_password_change", args=[chief.pk])
    assert desk.post(path, passwords).status_code == 302
    key, password = StaffAction.objects.order_by("pk")
    assert (key.before, key.after) == ({"api_key": "•••"}, {"api_key": "••• (new)"})
    assert (password.before["password"], password.after["password"]) == ("•••", "••• (new)")


def test_an_act_and_its_row_are_written_together_or_not_at_all(desk, customer, monkeypatch):
    def fails(*args, **kwargs):
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(StaffAction.objects, "create", fails)
    with pytest.raises(DatabaseError):
        desk.post(reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "A chargeback."})
    customer.refresh_from_db()
    assert not customer.is_suspended


def test_a_suspension_says_why_and_stands_in_the_customers_story(desk, chief, customer):
    desk.post(reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "A chargeback is open."})
    done = StaffAction.objects.get()
    assert (done.action, done.why, done.before["suspended_at"]) == ("suspend", "A chargeback is open.", None)
    assert done.after["suspended_reason"] == "A chargeback is open."
    page = desk.get(reverse("admin:accounts_customer_story", args=[customer.pk])).content.decode()
    assert "chief@example.org: suspend Ada (A chargeback is open.)" in page
    assert reverse("admin:accounts_staffaction_change", args=[done.pk]) in page
    desk.post(reverse("admin:accounts_customer_lift_suspension", args=[customer.pk]), {"why": "It was won."})
    done = StaffAction.objects.order_by("-pk")[0]
    assert (done.action, done.why) == ("lift_suspension", "It was won.")


def test_nobody_changes_the_limits_of_a_customer_they_belong_to(desk, chief, customer):
    Membership.objects.create(user=chief, customer=customer)
    members = tuple(Membership.objects.order_by("pk"))
    path = reverse("admin:accounts_customer_change", args=[customer.pk])
    desk.post(path, customer_form(customer, members, group="large", rpm_limit="9000"))
    customer.refresh_from_db()
    assert (customer.group, customer.rpm_limit) == ("default", None)


def test_an_action_on_a_list_leaves_a_row_for_each(desk, key):
    path = reverse("admin:accounts_apikey_changelist")
    desk.post(path, {"action": "disable", "_selected_action": [key.key.pk]})
    done = StaffAction.objects.get()
    assert (done.action, done.before["is_active"], done.after["is_active"]) == ("disable", True, False)
    assert "sha256" not in done.before


def test_looking_leaves_no_row(desk, customer):
    desk.get(reverse("admin:accounts_customer_change", args=[customer.pk]))
    desk.get(reverse("admin:accounts_customer_suspend", args=[customer.pk]))
    assert not StaffAction.objects.exists()


def test_what_others_write_is_no_staff_action(customer, now):
    customers.suspend(customer=customer, reason="dispute", now=now)
    assert not StaffAction.objects.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts_staffaction SET why = 'another'",
        "DELETE FROM accounts_staffaction",
        "TRUNCATE accounts_staffaction",
    ],
)
def test_a_staff_action_is_never_changed(desk, customer, statement):
    desk.post(reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "A chargeback."})
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert StaffAction.objects.get().why == "A chargeback."


def test_nobody_suspends_or_frees_a_customer_they_belong_to(customer):
    support = in_role("support")
    Membership.objects.create(user=support, customer=customer)
    desk = at_desk(support)
    page = desk.post(
        reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "x"}, follow=True
    ).content.decode()
    assert "You belong to this customer" in page
    Customer.objects.filter(pk=customer.pk).update(suspended_at="2026-11-23T12:00Z")
    desk.post(reverse("admin:accounts_customer_lift_suspension", args=[customer.pk]))
    customer.refresh_from_db()
    assert customer.is_suspended


def test_staff_actions_are_found_by_who_whom_and_what(desk, chief, customer, user):
    desk.post(reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "A chargeback."})
    path = reverse("admin:accounts_staffaction_changelist")
    for term in ("chief@example.org", "ada@example.org", "Ada"):
        assert "A chargeback." in desk.get(path, {"q": term}).content.decode(), term
    assert "A chargeback." not in desk.get(path, {"q": "nobody@example.org"}).content.decode()
    page = desk.get(reverse("admin:accounts_staffaction_change", args=[StaffAction.objects.get().pk])).content.decode()
    assert "suspended_reason: &quot;A chargeback.&quot;" in page


def test_confirming_an_address_by_hand_takes_the_right_and_leaves_a_row(desk, user):
    address = EmailAddress.objects.create(user=user, email=user.email, primary=True)
    path = reverse("admin:account_emailaddress_changelist")
    confirm = {"action": "make_verified", "_selected_action": [address.pk]}
    viewer = User.objects.create_user("viewer@example.org", "a rather long one", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_emailaddress"))
    at_desk(viewer).post(path, confirm)
    address.refresh_from_db()
    assert not address.verified
    desk.post(path, confirm)
    address.refresh_from_db()
    assert address.verified
    done = StaffAction.objects.get()
    assert (done.action, done.before, done.after) == ("make_verified", {"verified": False}, {"verified": True})


@pytest.mark.django_db(transaction=True)
def test_the_row_knows_its_request_under_the_server_of_production_too(chief, customer):
    """Pages are served over ASGI, where middleware and view may run in other threads."""
    client = AsyncClient()
    client.force_login(chief)
    path = reverse("admin:accounts_customer_suspend", args=[customer.pk])
    answer = async_to_sync(client.post)(path, {"reason": "A chargeback."})
    assert answer.status_code == 302
    done = StaffAction.objects.get()
    assert (done.action, done.why, done.address) == ("suspend", "A chargeback.", "127.0.0.1")
    assert done.after["suspended_reason"] == "A chargeback."
