"""/v1/members and /v1/invitations."""

import pytest
from django.test import Client

from accounts.keys import issuing
from accounts.keys.known import hand_over
from accounts.models import ApiKey, Invitation, Membership, SecurityEvent, User
from api import members
from tests.conftest import NOW


@pytest.fixture
def member(customer):
    person = User.objects.create_user("dev@example.org", name="Dev")
    return Membership.objects.create(user=person, customer=customer, role="developer")


@pytest.fixture
def made(customer, user):
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    return issuing.issue(customer=customer, name="k", now=NOW, created_by=user, scopes=["billing", "keys", "read"])


@pytest.fixture
def api(made):
    return Client(headers={"Authorization": f"Bearer {made.text}"})


def send(call, path, **fields):
    return call(path, fields, content_type="application/json")


def error_of(answer):
    return answer.status_code, answer.json()["error"]["code"], answer.json()["error"].get("param")


def test_members_are_listed_the_last_who_joined_first(api, member, customer):
    issuing.issue(customer=customer, name="ci", now=NOW, created_by=member.user)
    rows = api.get("/v1/members").json()["data"]
    assert [row["email"] for row in rows] == ["dev@example.org", "ada@example.org"]
    assert rows[0] == api.get(f"/v1/members/{member.pk}").json()["data"]
    assert {name: rows[0][name] for name in ("id", "name", "role", "keys", "last_seen_at")} == {
        "id": str(member.pk),
        "name": "Dev",
        "role": "developer",
        "keys": 1,
        "last_seen_at": None,
    }


def test_a_members_role_is_changed_and_noted(api, member, user):
    answer = send(api.patch, f"/v1/members/{member.pk}", role="viewer")
    assert (answer.status_code, answer.json()["data"]["role"]) == (200, "viewer")
    assert SecurityEvent.objects.filter(kind="role_changed").count() == 2
    own = Membership.objects.get(user=user)
    assert error_of(send(api.patch, f"/v1/members/{own.pk}", role="viewer")) == (409, "state_conflict", "role")
    assert error_of(send(api.patch, f"/v1/members/{member.pk}", role="king")) == (400, "validation_error", "role")
    assert error_of(send(api.patch, f"/v1/members/{member.pk}", rule="x"))[0] == 400
    assert send(api.post, "/v1/members", email="x@example.org").status_code == 405


def test_a_removed_members_keys_end_and_a_key_that_removes_its_maker_is_the_last_to(api, member, customer, user):
    theirs = issuing.issue(customer=customer, name="ci", now=NOW, created_by=member.user)
    own = Membership.objects.get(user=user)
    assert api.delete(f"/v1/members/{own.pk}").status_code == 409
    send(api.patch, f"/v1/members/{member.pk}", role="owner")
    assert api.delete(f"/v1/members/{own.pk}").status_code == 204
    assert error_of(api.get("/v1/members"))[0] == 401
    assert issuing.find(theirs.text).is_active


def test_a_removed_members_keys_may_live_on_under_another(api, member, customer, user):
    kept, ended = (issuing.issue(customer=customer, name=name, now=NOW, created_by=member.user).key for name in "ab")
    path = f"/v1/members/{member.pk}"
    under = Membership.objects.get(user=user).pk
    for wrong, param in (
        (f"keep={kept.pk}", "under"),
        (f"under={under}", "keep"),
        (f"keep=x&under={under}", "keep"),
        (f"keep={kept.pk}&under=-1", "under"),
        (f"keep={kept.pk}&under={under}&under={under}", "under"),
        (f"keep={kept.pk}&under={member.pk}", "under"),
    ):
        assert error_of(api.delete(f"{path}?{wrong}")) == (400, "validation_error", param), wrong
    assert error_of(api.delete(f"{path}?keep=999999&under={under}")) == (409, "state_conflict", "keep")
    assert Membership.objects.filter(pk=member.pk).exists(), "nothing is half done"
    assert api.delete(f"{path}?keep={kept.pk}&under={under}").status_code == 204
    kept.refresh_from_db()
    ended.refresh_from_db()
    assert (kept.is_active, kept.created_by, kept.known_to, ended.is_active) == (True, user, member.user, False)
    shown = api.get(f"/v1/keys/{kept.pk}").json()["data"]
    assert (shown["known_to"], shown["rotate_by"] is not None) == ("dev@example.org", True)


def test_another_accounts_people_are_not_there(api, make_customer):
    stranger = Membership.objects.create(user=User.objects.create_user("e@example.org"), customer=make_customer())
    for act in (api.get, api.delete):
        assert act(f"/v1/members/{stranger.pk}").status_code == 404
    assert api.delete(f"/v1/members/{2**70}").status_code == 404
    assert Membership.objects.filter(pk=stranger.pk).exists()


def test_an_invitation_is_sent_shown_and_taken_back(api):
    answer = send(api.post, "/v1/invitations", email="Eve@example.org")
    sent = answer.json()["data"]
    assert (answer.status_code, sent["email"], sent["role"], sent["state"]) == (
        201,
        "eve@example.org",
        "developer",
        "open",
    )
    assert sent["invited_by"] == "ada@example.org"
    assert not {"token", "token_hash", "link"} & sent.keys()
    path = f"/v1/invitations/{sent['id']}"
    assert api.get(path).json()["data"] == api.get("/v1/invitations").json()["data"][0] == sent
    for _ in range(2):
        assert api.delete(path).status_code == 204
    assert api.get(path).json()["data"]["state"] == "revoked"
    Invitation.objects.update(state="accepted")
    assert error_of(api.delete(path)) == (409, "state_conflict", None)


def test_what_is_wrong_with_an_invitation_is_named(api):
    send(api.post, "/v1/invitations", email="eve@example.org")
    for given, expected in (
        ({"email": "nobody"}, (400, "validation_error", "email")),
        ({}, (400, "validation_error", "email")),
        ({"email": "x@example.org", "role": "king"}, (400, "validation_error", "role")),
        ({"email": "x@example.org", "rule": "viewer"}, (400, "validation_error", "rule")),
        ({"email": "eve@example.org"}, (409, "state_conflict", "email")),
        ({"email": "ada@example.org"}, (409, "state_conflict", "email")),
    ):
        assert error_of(send(api.post, "/v1/invitations", **given)) == expected
    assert Invitation.objects.count() == 1


def test_too_many_of_a_day_say_when_there_is_room(api, monkeypatch):
    monkeypatch.setattr("accounts.people.inviting.MOST_A_DAY", 1)
    send(api.post, "/v1/invitations", email="eve@example.org")
    answer = send(api.post, "/v1/invitations", email="x@example.org")
    assert (error_of(answer)[:2], int(answer.headers["Retry-After"]) > 86_000) == ((429, "rate_limit_exceeded"), True)


def test_a_repeat_with_its_key_invites_once(api):
    for _ in range(2):
        headers = {"Idempotency-Key": "once"}
        answer = api.post(
            "/v1/invitations", {"email": "eve@example.org"}, content_type="application/json", headers=headers
        )
        assert answer.status_code == 201
    assert Invitation.objects.count() == 1


def test_a_repeat_that_overtakes_the_first_is_answered_as_the_first_is(api, monkeypatch):
    """What it finds is that the address is invited already: by itself."""
    done, overtaken = members._done, []

    def post():
        headers = {"Idempotency-Key": "k"}
        return api.post("/v1/invitations", {"email": "a@example.org"}, "application/json", headers=headers)

    def late(act):
        if not overtaken:
            overtaken.append(None)
            overtaken[0] = post()
        return done(act)

    monkeypatch.setattr(members, "_done", late)
    answer = post()
    assert (answer.status_code, answer.json()) == (201, overtaken[0].json())
    assert Invitation.objects.count() == 1


def test_a_key_of_the_operators_invites_too(customer):
    key = issuing.issue(customer=customer, name="op", now=NOW)
    api = Client(headers={"Authorization": f"Bearer {key.text}"})
    assert send(api.post, "/v1/invitations", email="eve@example.org").json()["data"]["invited_by"] is None


def test_a_key_that_others_know_is_not_put_off(api, made, customer, user, member):
    theirs = issuing.issue(customer=customer, name="ci", now=NOW, created_by=member.user, scopes=["read"])
    hand_over(theirs.key, keeper=user, now=NOW)
    ApiKey.objects.filter(pk=made.key.pk).update(scopes=["keys", "read", "inference", "billing"])
    path = f"/v1/keys/{theirs.key.pk}"
    shown = api.get(path).json()["data"]
    assert (shown["known_to"], shown["rotate_by"]) == ("dev@example.org", "2026-11-30T12:00:00Z")
    for end in (None, "2999-01-01T00:00:00Z"):
        assert error_of(send(api.patch, path, expires_at=end)) == (400, "validation_error", "expires_at")
    for scopes in (["read", "keys"], ["billing"]):
        assert error_of(send(api.patch, path, scopes=scopes)) == (400, "validation_error", "scopes")
    assert send(api.patch, path, scopes=["inference", "read"]).status_code == 200
