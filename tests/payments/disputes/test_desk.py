"""Disputes at the staff desk: read by all who may, written off by two of finance."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Customer, User
from billing.audit.run import audit
from billing.books.history import page_of
from billing.models import Wallet
from payments.models import Dispute, FraudWarning, TopUp
from tests.outbox import mails
from tests.payments.dispute_steps import act, settle, spend
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lost(sandbox: SandboxServer, customer: Customer, paid: TopUp) -> Dispute:
    """A lost dispute of 20 USD, 15 of which were spent before."""
    spend(customer, "15.00000000")
    for step in ("open", "withdraw", "lose"):
        dispute = settle(act(sandbox, paid, step))
    return dispute


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"staff{User.objects.count()}@example.org", "a rather long one", is_staff=True)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def finance() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(f"f{User.objects.count()}@example.org", "a rather long one"))
    return client


def page(name: str, dispute: Dispute) -> str:
    return reverse(f"admin:payments_dispute_{name}", args=[dispute.pk])


def test_a_disputes_page_names_what_was_moved_and_where_it_is_answered(sandbox, customer, paid):
    act(sandbox, paid, "open")
    dispute = settle(act(sandbox, paid, "withdraw"))
    desk = staff("payments.view_dispute")
    text = desk.get(page("change", dispute)).content.decode()
    assert f"https://dashboard.stripe.com/disputes/{dispute.provider_id}" in text
    assert "-20.00 USD" in text
    assert paid.number in text
    assert dispute.evidence_due_at is not None
    shown = desk.get(reverse("admin:payments_dispute_changelist"), {"queue": "answer"}).content.decode()
    assert f"{timezone.localtime(dispute.evidence_due_at):%Y-%m-%d}" in shown
    for queue, is_in in (("open", True), ("answer", True), ("problem", False), ("propose", False)):
        shown = desk.get(reverse("admin:payments_dispute_changelist"), {"queue": queue}).content.decode()
        assert (dispute.provider_id in shown) is is_in, queue


def test_a_disputed_customers_owners_read_of_it_once(sandbox, customer, paid, user):
    act(sandbox, paid, "open")
    settle(act(sandbox, paid, "withdraw"))
    letter, *more = mails().filter(to=user.email).exclude(subject__startswith="Your top-up")
    assert more == []
    assert (letter.to, letter.subject) == (user.email, "A payment of yours is disputed")
    assert f"paid top-up {paid.number} has taken 20.00 USD back" in letter.body
    assert "top-ups are closed" in letter.body


def test_disputes_and_warnings_are_read_only(sandbox, customer, paid):
    dispute = settle(act(sandbox, paid, "open"))
    warning = FraudWarning.objects.create(provider="stripe", provider_id="issfr_1", topup=paid, customer=customer)
    desk = finance()
    for name, thing in (("dispute", dispute), ("fraudwarning", warning)):
        base = f"admin:payments_{name}"
        assert desk.get(reverse(f"{base}_changelist")).status_code == 200
        assert desk.get(reverse(f"{base}_change", args=[thing.pk])).status_code == 200
        assert desk.get(reverse(f"{base}_add")).status_code == 403
        assert desk.post(reverse(f"{base}_change", args=[thing.pk]), {"amount": "1"}).status_code == 403
        assert desk.post(reverse(f"{base}_delete", args=[thing.pk]), {"post": "yes"}).status_code == 403


def test_a_write_off_is_for_finance_alone(lost: Dispute):
    plain = staff("payments.view_dispute", "payments.change_dispute")
    for act_name in ("propose_write_off", "confirm_write_off"):
        assert plain.post(page(act_name, lost), {"amount": "15.00", "reason": "gone"}).status_code == 403
    lost.refresh_from_db()
    assert lost.write_off is None


def test_what_is_confirmed_is_what_was_seen(customer, lost):
    """A later proposal replaces the one that the second person has on the screen."""
    first, second = finance(), finance()
    for amount in ("1.00", "15.00"):
        first.post(page("propose_write_off", lost), {"amount": amount, "reason": "gone"})
    for seen in ({"amount": "1.00"}, {}):
        second.post(page("confirm_write_off", lost), seen)
        assert Wallet.objects.get(customer=customer).paid == -15
    second.post(page("confirm_write_off", lost), {"amount": "15.00"})
    assert Wallet.objects.get(customer=customer).paid == 0


def test_a_write_off_is_proposed_by_one_and_confirmed_by_another(customer, lost):
    first, second = finance(), finance()
    assert "15.00" in first.get(page("propose_write_off", lost)).content.decode()
    too_much = first.post(page("propose_write_off", lost), {"amount": "15.01", "reason": "gone"}).content.decode()
    assert "At most $15.00" in too_much
    first.post(page("propose_write_off", lost), {"amount": "15.00", "reason": "the customer is gone"})
    queue = reverse("admin:payments_dispute_changelist")
    assert lost.provider_id in first.get(queue, {"queue": "propose"}).content.decode()
    seen = {"amount": "15.00"}
    own = first.post(page("confirm_write_off", lost), seen, follow=True).content.decode()
    assert "somebody else has to approve" in own
    shown = second.get(page("confirm_write_off", lost)).content.decode()
    assert "the customer is gone" in shown
    assert '<input type="hidden" name="amount" value="15.00"' in shown
    second.post(page("confirm_write_off", lost), seen)
    assert Wallet.objects.get(customer=customer).paid == 0
    told: list[str] = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
    assert told == [
        "Write-off of 15.00 USD proposed: the customer is gone",
        "Write-off of 15.00 USD confirmed",
    ]
    assert audit().drifts == []


def test_the_desk_can_ask_the_provider_again(sandbox, paid, monkeypatch):
    dispute = settle(act(sandbox, paid, "open"))
    act(sandbox, paid, "withdraw")
    finance().get(page("look", dispute))
    dispute.refresh_from_db()
    assert dispute.withdrawn == 20
    sandbox.fault("provider_down", provider="stripe", times=0)
    answer: Any = finance().get(page("look", dispute), follow=True)
    sandbox.clear_faults()
    assert "No answer" in answer.content.decode()


def test_the_customer_reads_what_a_dispute_moved_in_plain_words(customer, lost):
    words = [entry.description for entry in page_of(customer=customer).entries]
    assert words[0] == f"Disputed: top-up {lost.topup.number} was taken back"
    assert page_of(customer=customer).entries[0].amount == Decimal(-20)
