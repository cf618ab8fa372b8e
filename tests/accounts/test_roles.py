"""Every page, every operation of the account API and every act of the desk, with every role and scope."""

import re
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts import roles
from accounts.keys import issuing
from accounts.models import GivenRight, Membership, User
from accounts.roles import API, DEFAULT_SCOPES, MEMBERS, PAGES, STAFF, Role, Scope
from accounts.staff_groups import fill, rights
from tests.conftest import NOW
from tests.staffing import at_desk, in_role

ARGUMENTS = {
    "model_id": "no/such",
    "budget_id": 999999,
    "key_id": 999999,
    "number": "none",
    "document_id": 999999,
    "delivery": "none",
    "generation_id": "gen-none",
    "member_id": 999999,
    "invitation_id": 999999,
    "month": "1999-01",
    "notice_id": 999999,
}
NOT_THERE = (400, 404, 405, 409)
"""What a caller with the right is told of a thing that is not there, or of an empty form."""


@pytest.fixture(autouse=True)
def _no_provider(settings):
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")


def routes(prefix: str) -> Iterator[tuple[str, set[str]]]:
    """(URL name, methods) of what lies below a path; methods are empty where the view does not tell."""

    def walk(patterns: list[URLPattern | URLResolver], path: str) -> Iterator[tuple[str, URLPattern]]:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here)
            else:
                yield here, pattern

    for path, pattern in walk(get_resolver().url_patterns, ""):
        if path.startswith(prefix) and pattern.name:
            view = getattr(pattern.callback, "view_class", None)
            yield pattern.name, {m.upper() for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)}


def address(name: str) -> str:
    names = {group for possibility in get_resolver().reverse_dict.getlist(name) for group in possibility[0][0][1]}
    return reverse(name, kwargs={group: ARGUMENTS[group] for group in names})


def test_every_operation_and_every_page_stands_in_the_table():
    operations = dict(routes("v1/"))
    assert len(operations) >= 16
    assert {name: set(methods) for name, methods in API.items()} == operations
    pages = {name for name, _methods in routes("console")}
    assert pages == set(PAGES)


@pytest.mark.parametrize("role", [*MEMBERS, ""])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_to_the_roles_that_have_its_right(db, customer, name, role):
    person = User.objects.create_user("eve@example.org", "a rather long one")
    if role:
        Membership.objects.create(user=person, customer=customer, role=role)
    client = Client()
    client.force_login(person)
    for method, right in PAGES[name].items():
        status = client.generic(method, address(name)).status_code
        if role and right in MEMBERS[role]:
            assert status in (200, 302, *NOT_THERE), (method, status)
        else:
            assert status == 403, (method, status)


@pytest.mark.parametrize("role", [*MEMBERS, ""])
@pytest.mark.parametrize("scope", list(Scope))
def test_an_operation_answers_keys_with_its_scope_whose_maker_has_its_right(db, customer, role, scope):
    maker = User.objects.create_user("eve@example.org", "a rather long one")
    member = Membership.objects.create(user=maker, customer=customer, role=role or Role.OWNER)
    key = issuing.issue(customer=customer, name="k", now=NOW, created_by=maker, scopes=[scope])
    if not role:  # by no way that ends their keys, too
        Membership.objects.filter(pk=member.pk)._raw_delete("default")
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    for name, methods in API.items():
        for method, need in methods.items():
            answer = api.generic(method, address(name), b"{}", content_type="application/json")
            if scope in need.scopes and role and need.right in MEMBERS[role]:
                assert answer.status_code in (200, 204, *NOT_THERE), (method, name, answer.status_code)
            else:
                assert answer.status_code == 403, (method, name, answer.status_code)
                assert answer.json()["error"]["code"] == "key_not_allowed"


@pytest.mark.parametrize("role", MEMBERS)
def test_each_page_goes_by_the_role_in_the_account_that_is_looked_at(customer, user, make_customer, role):
    other = make_customer(name="Other")
    Membership.objects.create(user=User.objects.create_user("eve@example.org"), customer=other)
    Membership.objects.create(user=user, customer=other, role=role)
    client = Client()
    client.force_login(user)
    client.post("/accounts/switch", {"account": other.pk})
    for name in PAGES.keys() - {"leave"}:
        for method, right in PAGES[name].items():
            status = client.generic(method, address(name)).status_code
            assert (status == 403) == (right not in MEMBERS[role]), (method, name, status)
    client.post("/accounts/switch", {"account": customer.pk})
    assert client.get("/console/team").status_code == 200


def test_head_asks_for_what_get_asks_for(db, customer):
    key = issuing.issue(customer=customer, name="k", now=NOW, scopes=["keys"])
    assert Client(headers={"Authorization": f"Bearer {key.text}"}).head("/v1/credits").status_code == 403


def test_a_viewer_has_no_keys_and_a_developer_none_that_bill():
    assert roles.grantable(Role.VIEWER) == ()
    assert Scope.BILLING not in roles.grantable(Role.DEVELOPER)
    assert roles.grantable(Role.OWNER) == tuple(Scope)


def test_a_member_makes_keys_with_the_usual_scopes_and_the_operator_with_all(customer, user):
    assert issuing.issue(customer=customer, name="k", now=NOW, created_by=user).key.scopes == list(DEFAULT_SCOPES)
    assert issuing.issue(customer=customer, name="k", now=NOW).key.scopes == list(Scope)


def test_who_is_deleted_leaves_no_operators_key_behind(customer, user):
    issued = issuing.issue(customer=customer, name="k", now=NOW, created_by=user, scopes=list(Scope))
    user.delete()
    api = Client(headers={"Authorization": f"Bearer {issued.text}"})
    assert api.get("/v1/credits").status_code == 403


def test_a_developer_changes_own_keys_alone_on_pages_and_over_the_api(customer, user):
    theirs = issuing.issue(customer=customer, name="owner's", now=NOW, created_by=user)
    developer = User.objects.create_user("dev@example.org", "a rather long one")
    Membership.objects.create(user=developer, customer=customer, role=Role.DEVELOPER)
    own = issuing.issue(
        customer=customer, name="own", now=NOW, created_by=developer, scopes=["keys", "read", "inference"]
    )
    page, api = Client(), Client(headers={"Authorization": f"Bearer {own.text}"})
    page.force_login(developer)
    for key, expected in ((theirs, 403), (own, 302)):
        assert page.post(f"/console/keys/{key.key.pk}/switch", {"active": "1"}).status_code == expected
    assert page.get(f"/console/keys/{theirs.key.pk}/delete").status_code == 403
    body = b'{"name": "x"}'
    for key, expected in ((theirs, 403), (own, 200)):
        path = f"/v1/keys/{key.key.pk}"
        assert api.patch(path, body, content_type="application/json").status_code == expected
    assert api.delete(f"/v1/keys/{theirs.key.pk}").status_code == 403


@pytest.mark.parametrize(
    ("own", "wanted", "field"),
    [
        ({"scopes": ["keys"]}, {"scopes": ["keys", "billing"]}, "scopes"),
        ({"scopes": ["keys"]}, {}, "scopes"),
        ({"rpm_limit": 5}, {"rpm_limit": 0}, "rpm_limit"),
        ({"rpm_limit": 5}, {"rpm_limit": 6}, "rpm_limit"),
        ({"rpm_limit": 5}, {}, "rpm_limit"),
        ({"daily_limit": "1"}, {"daily_limit": "1.00000001"}, "daily_limit"),
        ({"allowed_models": ["openai/a"]}, {"allowed_models": ["a"]}, "allowed_models"),
        ({"allowed_models": ["openai/a"]}, {"allowed_models": ["openai/a", "openai/b"]}, "allowed_models"),
        ({"allowed_ips": ["127.0.0.0/24"]}, {"allowed_ips": ["127.0.0.0/23"]}, "allowed_ips"),
        ({"allowed_ips": ["127.0.0.0/24"]}, {"allowed_ips": ["::/0"]}, "allowed_ips"),
        ({"expires_at": "2027-01-01T00:00Z"}, {"expires_at": "2027-01-01T00:00:01Z"}, "expires_at"),
        ({"rpm_limit": 5}, {"rpm_limit": 5}, ""),
        ({"daily_limit": "1"}, {"daily_limit": "1"}, ""),
        ({"allowed_models": ["a"]}, {"allowed_models": ["openai/a"]}, ""),
        ({"allowed_ips": ["127.0.0.0/24"]}, {"allowed_ips": ["127.0.0.1"]}, ""),
        ({"expires_at": "2027-01-01T00:00Z"}, {"expires_at": "2026-12-31T00:00Z"}, ""),
    ],
)
def test_a_key_never_makes_one_that_may_do_more(db, customer, settings, own, wanted, field):
    settings.DEFAULT_KEY_RPM = 60
    key = issuing.issue(customer=customer, name="k", now=NOW, **own)
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    answer = api.post("/v1/keys", {"name": "child", **wanted}, content_type="application/json")
    if field:
        assert (answer.status_code, answer.json()["error"]["param"]) == (403, field)
    else:
        assert answer.status_code == 201


def test_a_key_does_not_enable_one_that_may_do_more(customer, user):
    wide = issuing.issue(customer=customer, name="wide", now=NOW, created_by=user, scopes=list(Scope))
    issuing.switch(key=wide.key, active=False)
    narrow = issuing.issue(customer=customer, name="narrow", now=NOW, created_by=user, scopes=["keys"])
    api = Client(headers={"Authorization": f"Bearer {narrow.text}"})
    answer = api.patch(f"/v1/keys/{wide.key.pk}", {"is_active": True}, content_type="application/json")
    assert answer.status_code == 403


def test_the_page_of_keys_grants_no_scope_that_the_role_may_not(customer, user):
    other = User.objects.create_user("owner@example.org", "a rather long one")
    Membership.objects.create(user=other, customer=customer, role=Role.OWNER)
    Membership.objects.filter(user=user).update(role=Role.DEVELOPER)
    client = Client()
    client.force_login(user)
    assert 'value="billing"' not in client.get("/console/keys").content.decode()
    assert client.post("/console/keys", {"name": "k", "scopes": ["billing"]}).status_code == 400


# --- Staff --------------------------------------------------------------------------------------------------------
def test_every_right_of_the_staff_is_one_that_the_desk_knows(db):
    known = {
        f"{permission.content_type.app_label}.{permission.content_type.model}.{permission.codename}"
        for permission in Permission.objects.select_related("content_type")
    }
    for role in STAFF.values():
        assert set(rights(role)) <= known


def test_a_right_taken_from_a_group_is_not_given_back(db):
    member = in_role("support")
    group = member.groups.get()
    taken = group.permissions.get(codename="handle_refunds")
    group.permissions.remove(taken)
    fill()
    assert not group.permissions.filter(pk=taken.pk).exists()
    GivenRight.objects.filter(role="support", right__endswith="handle_refunds").delete()
    fill()
    assert group.permissions.filter(pk=taken.pk).exists(), "and a new one is given"


@pytest.mark.parametrize("role", [*STAFF, ""])
def test_a_list_of_the_desk_opens_to_the_roles_that_see_it(db, role):
    person = in_role(role) if role else User.objects.create_user("x@staff.example.org", "long enough", is_staff=True)
    desk = at_desk(person)
    held = {re.sub(r"\.\w+\.", ".", right) for right in rights(STAFF[role])} if role else set()
    assert person.get_all_permissions() == held
    for model, model_admin in admin.site._registry.items():
        opts = model._meta
        path = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
        right = getattr(model_admin, "right", None)
        sees = f"{opts.app_label}.view_{opts.model_name}" in held or right in held
        sees = sees or f"{opts.app_label}.change_{opts.model_name}" in held
        if opts.label_lower == "proxy.marginday":  # what the house earns is not for all who see requests
            sees = "proxy.see_margin" in held
        assert desk.get(path).status_code == (200 if sees else 403), path
