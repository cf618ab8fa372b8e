"""/console/team, invitations and the switch between accounts."""

import re

import pytest
from django.core import mail as outbox
from django.test import Client
from django.utils import timezone

from accounts.keys import issuing
from accounts.models import ApiKey, Invitation, Membership, SecurityEvent, User
from accounts.people import inviting, signup, team
from billing.models import Wallet
from billing.outbox import mail


@pytest.fixture
def make_login(db):
    """A function: somebody logged in, with a confirmed address; a member where an account is named."""

    def make(email, *, customer=None, role="developer"):
        person = User.objects.create_user(email, "a rather long one")
        person.emailaddress_set.create(email=email, verified=True, primary=True)
        if customer is not None:
            Membership.objects.create(user=person, customer=customer, role=role)
        client = Client()
        client.force_login(person)
        return client

    return make


@pytest.fixture
def owner(browser_client, user):
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    return browser_client


def invite(owner, email="eve@example.org", role="developer"):
    answer = owner.post("/console/team", {"email": email, "role": role})
    assert answer.status_code == 302, answer.content.decode()
    outbox.outbox.clear()
    mail.send_due(now=timezone.now())
    return re.search(r"/accounts/invitations/\w+", outbox.outbox[-1].body)[0]


def text_of(answer):
    return answer.content.decode()


def test_an_invitation_is_shown_by_a_click_and_accepted_by_a_post(owner, customer, make_login):
    page = invite(owner)
    for visitor in (Client(), make_login("eve@example.org")):
        shown = visitor.get(page)
        assert shown.status_code == 200
        assert "no-store" in shown.headers["Cache-Control"]
        assert "ada@example.org" in text_of(shown)
        assert customer.name in text_of(shown)
    assert not Membership.objects.filter(user__email="eve@example.org").exists()
    assert visitor.post(page, {"act": "accept"}).headers["Location"] == "/console/"
    assert Membership.objects.get(user__email="eve@example.org").customer == customer
    assert visitor.get("/console/").status_code == 200
    again = visitor.post(page, {"act": "accept"})
    assert (again.status_code, "was accepted" in text_of(again)) == (409, True)
    noted = SecurityEvent.objects.filter(kind__in=["invited", "joined"]).order_by("pk")
    assert [(one.user.email, one.kind) for one in noted] == [
        ("ada@example.org", "invited"),
        ("eve@example.org", "joined"),
        ("ada@example.org", "joined"),
    ]


def test_strangers_log_in_first_and_others_are_told_for_whom_it_is(owner, make_login):
    page = invite(owner)
    assert Client().post(page, {"act": "accept"}).headers["Location"] == f"/accounts/login/?next={page}"
    other = make_login("mallory@example.org")
    assert "has not confirmed that address" in text_of(other.get(page))
    assert other.post(page, {"act": "accept"}).status_code == 403
    assert Client().get("/accounts/invitations/nothing").status_code == 404


def test_the_invited_are_led_to_what_they_are_to_answer(owner, make_login, customer, settings):
    page = invite(owner)
    eve = make_login("eve@example.org")
    refused = eve.get("/console/")
    assert (refused.status_code, "/accounts/invitations" in text_of(refused)) == (403, True)
    client = Client()
    entered = client.post("/accounts/login/", {"login": "eve@example.org", "password": "a rather long one"})
    assert entered.headers["Location"] == "/accounts/invitations"
    assert "ada@example.org" in text_of(eve.get("/accounts/invitations"))
    answered = eve.post("/accounts/invitations", {"invitation": Invitation.objects.get().pk, "act": "decline"})
    assert answered.status_code == 302
    assert eve.get("/console/").status_code == 200
    own = Membership.objects.get(user__email="eve@example.org")
    assert own.customer != customer
    assert Wallet.objects.get(customer=own.customer).bonus == settings.SIGNUP_CREDIT
    assert "was declined" in text_of(eve.get(page))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"email": "nobody", "role": "viewer"}, "Enter a valid email address"),
        ({"email": "x@example.org", "role": "king"}, "Select a valid choice"),
        ({"email": "ada@example.org", "role": "viewer"}, "belongs to a member already"),
        ({"email": "eve@example.org", "role": "viewer"}, "is invited already"),
    ],
)
def test_what_is_wrong_with_an_invitation_stands_beside_the_field(owner, given, words):
    invite(owner)
    answer = owner.post("/console/team", given)
    assert (answer.status_code, words in text_of(answer)) == (400, True)
    assert Invitation.objects.count() == 1


def test_an_invitation_is_sent_again_and_taken_back(owner):
    first = invite(owner)
    path = f"/console/team/invitations/{Invitation.objects.get().pk}"
    owner.post(path, {"act": "again"})
    assert "taken back, or sent again" in text_of(Client().get(first))
    again = Invitation.objects.get(state="open")
    owner.post(f"/console/team/invitations/{again.pk}", {"act": "revoke"})
    assert not Invitation.objects.filter(state="open").exists()
    assert "is revoked already" in text_of(owner.post(path, {"act": "again"}, follow=True))


def test_an_owner_changes_roles_and_the_last_one_cannot_step_back(owner, make_login, customer, user):
    make_login("dev@example.org", customer=customer)
    member = Membership.objects.get(user__email="dev@example.org")
    assert owner.post(f"/console/team/{member.pk}", {"role": "viewer"}).status_code == 302
    member.refresh_from_db()
    assert member.role == "viewer"
    own = Membership.objects.get(user=user)
    refused = owner.post(f"/console/team/{own.pk}", {"role": "viewer"})
    assert (refused.status_code, "at least one owner" in text_of(refused)) == (400, True)
    assert SecurityEvent.objects.filter(kind="role_changed").count() == 2


def test_a_removed_members_next_page_is_refused_and_the_one_after_is_their_own(
    owner, make_login, make_customer, customer
):
    dev = make_login("dev@example.org", customer=customer)
    person = User.objects.get(email="dev@example.org")
    elsewhere = make_customer(name="Elsewhere")
    Membership.objects.create(user=person, customer=elsewhere)
    assert dev.get("/console/keys").status_code == 200
    member = Membership.objects.get(user=person, customer=customer)
    key = issuing.issue(customer=customer, name="ci", now=timezone.now(), created_by=person)
    keeper = Membership.objects.get(user__email="ada@example.org")
    form = {"keep": [key.key.pk], "under": keeper.pk}
    assert owner.post(f"/console/team/{member.pk}/remove", form).status_code == 302
    assert dev.post("/console/keys", {"name": "meant for the other"}).status_code == 403
    assert not ApiKey.objects.filter(name="meant for the other").exists()
    assert "Elsewhere" in text_of(dev.get("/console/keys"))
    assert issuing.find(key.text).created_by == keeper.user
    page = text_of(owner.get("/console/keys"))
    assert "known to dev@example.org" in page


def test_another_accounts_people_are_not_there(owner, make_customer, make_login):
    other = make_customer(name="Other")
    eve = make_login("eve@example.org", customer=other, role="owner")
    invite(eve, email="x@example.org")
    theirs = Membership.objects.get(user__email="eve@example.org")
    assert owner.get(f"/console/team/{theirs.pk}").status_code == 404
    assert owner.post(f"/console/team/{theirs.pk}/remove").status_code == 404
    assert owner.post(f"/console/team/invitations/{Invitation.objects.get().pk}", {"act": "revoke"}).status_code == 404
    assert "x@example.org" not in text_of(owner.get("/console/team"))


def test_one_login_looks_at_one_of_its_accounts_at_a_time(owner, user, make_customer, make_login):
    second = make_customer(name="Second GmbH")
    Membership.objects.create(user=user, customer=second, role="viewer")
    assert owner.get("/console/team").status_code == 200
    assert "Second GmbH" in text_of(owner.get("/console/"))
    owner.post("/accounts/switch", {"account": second.pk})
    assert owner.get("/console/team").status_code == 403, "a viewer there"
    assert owner.get("/console/").status_code == 200
    stranger = make_login("eve@example.org", customer=make_customer(name="E"))
    assert stranger.post("/accounts/switch", {"account": second.pk}).status_code == 403
    assert stranger.post("/accounts/switch", {"account": "x"}).status_code == 403


def test_a_form_of_one_account_is_not_done_to_another(owner, user, customer, make_customer):
    second = make_customer(name="Second")
    Membership.objects.create(user=user, customer=second)
    owner.post("/accounts/switch", {"account": second.pk})
    refused = owner.post("/console/keys", {"name": "k", "for_account": customer.pk})
    assert (refused.status_code, "Nothing was done" in text_of(refused)) == (403, True)
    assert owner.post("/console/keys", {"name": "k", "for_account": second.pk}).status_code == 200


def test_leaving_asks_once_and_ends_what_was_made(owner, make_login, customer):
    dev = make_login("dev@example.org", customer=customer)
    person = User.objects.get(email="dev@example.org")
    key = issuing.issue(customer=customer, name="ci", now=timezone.now(), created_by=person)
    assert "1 key that you made" in text_of(dev.get("/console/leave"))
    assert dev.post("/console/leave").headers["Location"] == "/console/"
    assert not issuing.find(key.text).is_active
    assert dev.get("/console/").status_code == 200, "of an account of one's own"
    stays = owner.post("/console/leave")
    assert (stays.status_code, "at least one owner" in text_of(stays)) == (409, True)


def test_owners_name_the_account_and_others_read_its_name(owner, make_login, customer):
    assert owner.post("/console/settings", {"name": "Acme & Co."}).status_code == 302
    customer.refresh_from_db()
    assert customer.name == "Acme & Co."
    dev = make_login("dev@example.org", customer=customer)
    assert "Acme &amp; Co." in text_of(dev.get("/console/settings"))
    assert dev.post("/console/settings", {"name": "Mine"}).status_code == 403
    assert owner.post("/console/settings", {"name": "\u200b"}).status_code == 400


def test_an_invited_newcomer_signs_up_confirms_and_is_asked(owner, customer, settings):
    page = invite(owner)
    visitor = Client()
    form = f"/accounts/signup/?next={page}&email=eve@example.org"
    shown = text_of(visitor.get(form))
    assert ('value="eve@example.org"' in shown, "on your balance" in shown) == (True, False)
    visitor.post(form, {"email": "eve@example.org", "password1": "a rather long one"})
    confirm = re.search(r"/accounts/confirm-email/\S+", outbox.outbox[-1].body)[0]
    assert visitor.post(confirm).headers["Location"] == page
    assert not Membership.objects.filter(user__email="eve@example.org").exists()
    assert visitor.get("/console/").status_code == 403
    visitor.post(page, {"act": "accept"})
    assert Membership.objects.get(user__email="eve@example.org").customer == customer
    assert "$10.00" in text_of(visitor.get("/console/"))


def test_who_confirms_an_invited_address_gets_no_account_of_their_own(owner, make_login, customer):
    invite(owner)
    make_login("eve@example.org")
    eve = User.objects.get(email="eve@example.org")
    assert signup.arrive(user=eve, address="", now=timezone.now()) is None
    inviting.accept(invitation=Invitation.objects.get(), user=eve, now=timezone.now())
    assert list(team.members(customer).values_list("user__email", flat=True)) == ["ada@example.org", eve.email]
