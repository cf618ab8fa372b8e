"""/console/code, and the desk that makes what is entered there."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, StaffAction, User
from billing.models import BonusCode, CodeBatch, Wallet
from tests.staffing import at_desk, in_role


@pytest.fixture
def terms(settings):
    settings.CODES_LIMIT = Decimal(10)
    until = timezone.now() + timedelta(days=3)
    return {
        "words": "Hello",
        "amount": "5",
        "count": "2",
        "uses": "1",
        "ends_at": f"{until:%Y-%m-%d}",
        "days": "",
        "reason": "a fair",
    }


def address_of(act, batch):
    return reverse(f"admin:billing_codebatch_{act}", args=[batch.pk])


def test_a_code_goes_from_the_desk_to_a_wallet(terms, user, customer, browser_client):
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    desk = at_desk(in_role("finance"))
    assert desk.post(reverse("admin:billing_codebatch_add"), terms).status_code == 302
    batch = CodeBatch.objects.get()
    assert desk.get(address_of("make_codes", batch)).status_code == 200
    file = desk.post(address_of("make_codes", batch))
    assert file["Content-Type"].startswith("text/csv")
    head, code, other = file.content.decode().split()
    assert (head, BonusCode.objects.count()) == ("code", 2)
    assert "made already" in desk.post(address_of("make_codes", batch), follow=True).content.decode()
    assert code not in str([*StaffAction.objects.values()])

    page = browser_client.get("/console/code").content.decode()
    assert "Enter a code" in page
    done = browser_client.post("/console/code", {"code": code}, follow=True).content.decode()
    assert "of bonus is yours" in done
    again = browser_client.post("/console/code", {"code": other})
    assert (again.status_code, "used such a code already" in again.content.decode()) == (400, True)
    for wrong in ("", "x" * 101, "\0", "nothing"):
        assert browser_client.post("/console/code", {"code": wrong}).status_code == 400
    assert Wallet.objects.get(customer=customer).bonus == 15
    assert "1, $5.00" in desk.get(address_of("change", batch)).content.decode()


def test_a_batch_worth_much_goes_from_one_desk_to_the_other_and_is_stopped(terms, db):
    first, second = at_desk(in_role("finance")), at_desk(in_role("finance", "second@staff.example.org"))
    first.post(reverse("admin:billing_codebatch_add"), {**terms, "count": "3"})
    batch = CodeBatch.objects.get()
    assert "You proposed it" in first.post(address_of("approve", batch), follow=True).content.decode()
    assert "Now make its codes" in second.post(address_of("approve", batch), follow=True).content.decode()
    stopped = first.post(address_of("stop", batch), {"why": "found on the web"}, follow=True).content.decode()
    assert "What was given stays" in stopped
    assert "stopped" in second.post(address_of("make_codes", batch), follow=True).content.decode()
    assert list(StaffAction.objects.order_by("pk").values_list("action", flat=True)) == ["add", "approve", "stop"]


def test_the_desk_of_support_makes_none(terms, db):
    assert at_desk(in_role("support")).post(reverse("admin:billing_codebatch_add"), terms).status_code == 403
    assert not CodeBatch.objects.exists()


def test_a_viewer_enters_none(customer, client):
    viewer = User.objects.create_user("viewer@example.org")
    Membership.objects.create(user=viewer, customer=customer, role="viewer")
    client.force_login(viewer)
    assert client.post("/console/code", {"code": "x"}).status_code == 403
