"""The staff desk opens to a login with a second factor alone."""

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.test import Client
from django.urls import reverse

from accounts.models import StaffAction, User
from tests.staffing import at_desk

pytestmark = pytest.mark.django_db
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "a rather long one"


@pytest.fixture(autouse=True)
def _required(settings):
    settings.STAFF_SECOND_FACTOR = True


@pytest.fixture
def staff(db):
    user = User.objects.create_superuser("staff@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))


def log_in(client: Client, user: User) -> str:
    answer = client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return str(answer.headers["Location"])


def test_staff_without_a_second_factor_are_sent_to_set_it_up(staff):
    client = Client()
    log_in(client, staff)
    for path in (
        "/admin/",
        reverse("admin:billing_transfer_changelist"),
        reverse("admin:accounts_customer_changelist"),
    ):
        assert client.get(path).headers["Location"] == reverse("mfa_activate_totp"), path
    answer = client.post(reverse("admin:accounts_user_add"), {"email": "new@example.org", "password": PASSWORD})
    assert answer.headers["Location"] == reverse("mfa_activate_totp")
    assert not User.objects.filter(email="new@example.org").exists()


@pytest.mark.django_db(transaction=True)
def test_whoever_sets_it_up_is_let_in_at_once_and_told_by_mail(staff, mailoutbox):
    client = Client()
    log_in(client, staff)
    path = reverse("mfa_activate_totp")
    page = client.get(path)
    assert page.status_code == 200
    secret = page.context["form"].secret
    assert client.get("/admin/").status_code == 302
    assert client.post(path, {"code": code(secret)}).status_code == 302
    assert Authenticator.objects.filter(user=staff, type="totp").exists()
    assert client.get("/admin/").status_code == 200
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.filter(user=staff).exists()
    assert {*(mail.to[0] for mail in mailoutbox)} == {staff.email}
    told = [mail.body.partition("\n")[0] for mail in mailoutbox if "from the address 127.0.0.1" in mail.body]
    assert {"Authenticator app activated.", "Authenticator app deactivated."} <= {*told}


def test_a_password_alone_does_not_reach_the_desk(staff):
    TOTP.activate(staff, SECRET)
    client = Client()
    assert log_in(client, staff) == reverse("mfa_authenticate")
    assert "_auth_user_id" not in client.session
    assert client.get("/admin/").status_code == 302
    wrong = "000000" if code(SECRET) != "000000" else "000001"
    client.post(reverse("mfa_authenticate"), {"code": wrong})
    assert client.get("/admin/").status_code == 302
    client.post(reverse("mfa_authenticate"), {"code": code(SECRET)})
    assert client.get("/admin/").status_code == 200


def test_a_session_that_passed_no_second_factor_is_asked_for_it(staff):
    TOTP.activate(staff, SECRET)
    client = at_desk(staff)  # logged in by other ways than the login page
    path = reverse("admin:billing_transfer_changelist")
    answer = client.get(path, {"q": "topup:7"})
    assert answer.headers["Location"].startswith(reverse("mfa_reauthenticate"))
    answer = client.post(answer.headers["Location"], {"code": code(SECRET)})
    assert answer.headers["Location"] == f"{path}?q=topup%3A7"
    assert client.get(path).status_code == 200


def test_after_a_working_day_the_desk_asks_for_it_again(staff):
    TOTP.activate(staff, SECRET)
    client = Client()
    log_in(client, staff)
    client.post(reverse("mfa_authenticate"), {"code": code(SECRET)})
    assert client.get("/admin/").status_code == 200
    age(client, hours=8)
    assert client.get("/admin/").headers["Location"].startswith(reverse("mfa_reauthenticate"))


def age(client: Client, *, hours: int) -> None:
    """As if the session had been begun so much earlier."""
    session = client.session
    records = session["account_authentication_methods"]
    session["account_authentication_methods"] = [one | {"at": one["at"] - hours * 3600} for one in records]
    session.save()


@pytest.fixture
def ada(db):
    user = User.objects.create_user("ada@example.org", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.mark.parametrize(
    "form",
    [
        {"action_add": "", "email": "thief@example.org"},
        {"action_primary": "", "email": "second@example.org"},
        {"action_remove": "", "email": "second@example.org"},
    ],
)
def test_a_stolen_session_moves_no_address(ada, form):
    EmailAddress.objects.create(user=ada, email="second@example.org", verified=True)
    client = Client()
    log_in(client, ada)
    age(client, hours=1)
    before = list(EmailAddress.objects.order_by("pk").values_list("email", "primary"))
    answer = client.post(reverse("account_email"), form)
    assert answer.headers["Location"].startswith(reverse("account_reauthenticate"))
    assert list(EmailAddress.objects.order_by("pk").values_list("email", "primary")) == before


def test_a_changed_address_and_password_are_told_to_the_old_address(ada, mailoutbox):
    EmailAddress.objects.create(user=ada, email="second@example.org", verified=True)
    client = Client()
    log_in(client, ada)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    client.post(reverse("account_email"), {"action_primary": "", "email": "second@example.org"})
    ada.refresh_from_db()
    assert ada.email == "second@example.org"
    assert [mail.to for mail in mailoutbox] == [["ada@example.org"]]
    assert "from the address 127.0.0.1" in mailoutbox[0].body
    client.post(reverse("account_email"), {"action_remove": "", "email": "ada@example.org"})
    passwords = {"oldpassword": PASSWORD, "password1": "correct horse battery", "password2": "correct horse battery"}
    client.post(reverse("account_change_password"), passwords)
    told = [["ada@example.org"], ["second@example.org"], ["second@example.org"]]
    assert [mail.to for mail in mailoutbox[1:]] == told


def test_an_added_address_is_told_to_the_one_that_was_there_and_no_stranger_hears_of_its_end(ada, mailoutbox):
    client = Client()
    log_in(client, ada)
    client.post(reverse("account_email"), {"action_add": "", "email": "thief@example.org"})
    [notice] = [mail for mail in mailoutbox if mail.to == ["ada@example.org"]]
    assert notice.subject == "An address was added to your account"
    assert "thief@example.org was added" in notice.body
    assert "from the address 127.0.0.1" in notice.body
    mailoutbox.clear()
    client.post(reverse("account_email"), {"action_remove": "", "email": "thief@example.org"})
    assert [mail.to for mail in mailoutbox] == [["ada@example.org"]]


def test_an_address_changes_though_no_notice_leaves(ada, monkeypatch):
    def refuse(*_args, **_given):
        raise ConnectionRefusedError

    EmailAddress.objects.create(user=ada, email="second@example.org", verified=True)
    client = Client()
    log_in(client, ada)
    monkeypatch.setattr("django.core.mail.EmailMessage.send", refuse)
    assert (
        client.post(reverse("account_email"), {"action_primary": "", "email": "second@example.org"}).status_code == 302
    )
    ada.refresh_from_db()
    assert ada.email == "second@example.org"


def test_whoever_lost_it_sets_up_a_new_one_once_a_superuser_deleted_it(staff, settings):
    lost = TOTP.activate(staff, SECRET).instance
    RecoveryCodes.activate(staff)
    chief = User.objects.create_superuser("chief@example.org", PASSWORD)
    settings.STAFF_SECOND_FACTOR = False
    path = reverse("admin:mfa_authenticator_delete", args=[lost.pk])
    assert at_desk(chief).post(path, {"post": "yes"}).status_code == 302
    done = StaffAction.objects.get()
    assert (done.action, done.before["data"], done.before["user_id"]) == ("delete", "•••", staff.pk)
    settings.STAFF_SECOND_FACTOR = True
    assert not Authenticator.objects.filter(user=staff).exists()
    assert at_desk(staff).get("/admin/").headers["Location"] == reverse("mfa_activate_totp")


def test_the_desks_own_login_is_the_one_with_limits_and_second_factor(staff):
    client = Client()
    answer = client.post("/admin/login/", {"username": staff.email, "password": PASSWORD}, follow=True)
    assert re.match(r"/accounts/login/", answer.redirect_chain[-1][0])
    assert not client.session.get("_auth_user_id")


def test_others_need_none_and_learn_nothing(browser_client):
    assert browser_client.get("/console/").status_code == 200
    assert browser_client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert Client().get("/admin/").headers["Location"].startswith("/admin/login/")


def test_an_operator_may_switch_it_off(staff, settings):
    settings.STAFF_SECOND_FACTOR, settings.SITE_URL = False, "https://chuizi.example.com"
    assert at_desk(staff).get("/admin/").status_code == 200
