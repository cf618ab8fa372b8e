"""A request that could not be settled: staff see what it holds, have it tried again, or release it uncharged."""

from decimal import Decimal

import pytest
from django.core.cache import caches
from django.urls import reverse
from django.utils import timezone

from accounts.models import KeyMeter, Membership, StaffAction
from billing.audit.run import audit
from billing.models import Hold, Transfer, Wallet
from billing.outbox import alerts
from proxy.models import Generation
from proxy.records import receipts
from proxy.settlement import settle
from tests.conftest import NOW
from tests.outbox import mails
from tests.proxy.conftest import only_generation
from tests.staffing import at_desk, in_role

FIGURE = "Gateway / Quarantined, and what they hold"


@pytest.fixture
def stuck(make_generation, key, monkeypatch) -> Generation:
    """A request that failed to settle five times; its fault is gone now."""
    generation = make_generation(cost="0.25")
    Generation.objects.update(input_tokens=10, output_tokens=5, upstream_cost=Decimal("0.2"))
    KeyMeter.objects.filter(pk=key.key.pk).update(day=NOW.date(), day_spent=1, total_spent=1)
    with monkeypatch.context() as patched:
        patched.setattr(settle, "_settle", fail)
        for _ in range(5):
            settle.settle(now=NOW)
    generation.refresh_from_db()
    assert generation.state == "quarantined"
    return generation


def fail(*_arguments, **_options):
    raise ValueError("cannot be settled")


@pytest.fixture
def finance(db):
    caches["pages"].clear()
    return at_desk(in_role("finance"))


def act(desk, generation: Generation, name: str, **data: str):
    return desk.post(reverse(f"admin:proxy_generation_{name}", args=[generation.pk]), data, follow=True)


def page(answer) -> str:
    return " ".join(answer.content.decode().split())


def test_a_quarantined_request_that_is_tried_again_is_charged_once(stuck, finance, customer):
    assert "Done." in page(act(finance, stuck, "try_again"))
    assert (only_generation().state, only_generation().failures) == ("metered", 0)
    assert settle.settle_all(now=NOW) == 1
    wallet = Wallet.objects.get(customer=customer)
    assert (wallet.bonus, wallet.held) == (Decimal("9.75"), 0)
    assert "settled, not quarantined" in page(act(finance, stuck, "try_again"))
    assert "settled, not quarantined" in page(act(finance, stuck, "release", reason="x"))
    assert Transfer.objects.filter(kind="usage_bonus").count() == 1
    assert audit().drifts == []


def test_one_that_fails_again_is_quarantined_again_after_five_more(stuck, finance, monkeypatch):
    act(finance, stuck, "try_again")
    monkeypatch.setattr(settle, "_settle", fail)
    states = []
    for _ in range(5):
        settle.settle(now=NOW)
        states.append(only_generation().state)
    assert states == ["metered"] * 4 + ["quarantined"]


def test_a_quarantined_request_released_by_staff_costs_nothing_and_keeps_its_usage(stuck, finance, key, customer):
    act(finance, stuck, "release", reason="its key is taken by another transfer")
    found = only_generation()
    assert (found.state, found.cost, found.is_flagged) == ("released", 0, True)
    assert (found.input_tokens, found.output_tokens, found.usage_source) == (10, 5, "upstream")
    assert found.upstream_cost == Decimal("0.2")
    wallet, meter = Wallet.objects.get(customer=customer), KeyMeter.objects.get(pk=key.key.pk)
    assert (wallet.bonus, wallet.held, Hold.objects.get().state) == (10, 0, "released")
    assert (meter.day_spent, meter.total_spent) == (0, 0)
    assert settle.settle_all(now=NOW) == 0
    assert audit().drifts == []
    written = StaffAction.objects.get(object_id=stuck.pk)
    assert (written.action, written.why) == ("release", "its key is taken by another transfer")
    assert (written.before["state"], written.after["state"]) == ("quarantined", "released")


def test_a_release_says_why(stuck, finance):
    for reason in ("", "   "):
        act(finance, stuck, "release", reason=reason)
        assert only_generation().state == "quarantined"


def test_the_hold_that_kept_a_request_from_being_settled_may_be_gone(stuck, finance, customer):
    Hold.objects.update(state="released", resolved_at=NOW)
    Wallet.objects.update(held=0)
    act(finance, stuck, "release", reason="its hold was released by hand")
    assert (only_generation().state, Wallet.objects.get(customer=customer).held) == ("released", 0)


@pytest.mark.parametrize("name", ["try_again", "release"])
@pytest.mark.parametrize("role", ["support", "operator"])
def test_quarantine_is_for_finance(stuck, role, name):
    assert act(at_desk(in_role(role)), stuck, name, reason="x").status_code == 403
    assert only_generation().state == "quarantined"


@pytest.mark.parametrize("name", ["try_again", "release"])
def test_nobody_decides_about_a_request_of_their_own_account(stuck, customer, name):
    member = in_role("finance")
    Membership.objects.create(user=member, customer=customer)
    assert "You belong to this customer" in page(act(at_desk(member), stuck, name, reason="x"))
    assert only_generation().state == "quarantined"


@pytest.mark.parametrize("state", ["held", "metered", "settled", "released"])
def test_a_request_that_is_not_quarantined_is_left_alone(stuck, finance, state):
    Generation.objects.update(state=state)
    shown = page(finance.get(reverse("admin:proxy_generation_change", args=[stuck.pk])))
    assert "Release uncharged" not in shown
    for name in ("try_again", "release"):
        act(finance, stuck, name, reason="x")
        assert only_generation().state == state


def test_an_unknown_request_is_404(finance, db):
    for pk in ("gen-unknown", "x\0y"):
        for name in ("try_again", "release"):
            assert finance.post(f"/admin/proxy/generation/{pk}/{name}").status_code == 404


def test_the_first_page_turns_red_with_what_quarantined_requests_hold(finance, make_generation, settings):
    settings.ALERT_EMAILS = ["ops@example.org"]
    label = "Quarantined, and what they hold</dt><dd"
    assert f'{label} class="desk-none"><a' in page(finance.get("/admin/"))
    for held in ("1", "0.5"):
        made = make_generation(cost="0.25", held=held)
        Generation.objects.filter(pk=made.pk).update(state="quarantined")
    caches["pages"].clear()
    link = "/admin/proxy/generation/?state__exact=quarantined"
    assert f'{label} class="desk-bad"><a href="{link}">2, $1.5000</a>' in page(finance.get("/admin/"))
    assert made.pk in page(finance.get(link))
    alerts.watch(now=timezone.now())
    assert mails().filter(subject=f"RED: {FIGURE}").count() == 1


def test_a_receipt_says_that_the_loss_is_ours(make_generation, customer, user, client):
    generation = make_generation(cost="0")
    Generation.objects.update(input_tokens=10, output_tokens=5, settlement_reason="completed")
    settle.settle(now=NOW)
    receipt = receipts.receipt_of(customer=customer, generation_id=generation.pk)
    assert receipt is not None
    assert (receipt.charged, receipt.is_borne) == (0, True)
    client.force_login(user)
    assert "Not charged: our loss" in client.get(f"/console/usage/{generation.pk}").content.decode()


def test_who_looked_at_a_flagged_request_takes_it_off_the_list_and_says_why(stuck, finance):
    act(finance, stuck, "release", reason="x")
    assert "Looked at" in page(finance.get(reverse("admin:proxy_generation_change", args=[stuck.pk])))
    for reason in ("", "the upstream says the same"):
        act(finance, stuck, "looked_at", reason=reason)
        assert only_generation().is_flagged == (not reason)
    assert (only_generation().state, only_generation().cost) == ("released", 0)
    written = StaffAction.objects.get(object_id=stuck.pk, action="looked_at")
    assert written.why == "the upstream says the same"
    assert (written.before["is_flagged"], written.after["is_flagged"]) == (True, False)
    assert "nothing to look at" in page(act(finance, stuck, "looked_at", reason="again"))


def test_what_is_not_decided_or_somebody_elses_stays_flagged(stuck, finance, customer):
    assert "has not ended" in page(act(finance, stuck, "looked_at", reason="x"))
    assert act(at_desk(in_role("support")), stuck, "looked_at", reason="x").status_code == 403
    Generation.objects.update(state="settled")
    member = in_role("finance", email="member@example.org")
    Membership.objects.create(user=member, customer=customer)
    assert "You belong to this customer" in page(act(at_desk(member), stuck, "looked_at", reason="x"))
    assert only_generation().is_flagged
