"""A part that gets no final answer: parked in time, seen, and settled by staff or by a late answer."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from billing.audit.run import audit
from billing.models import RefundRequest, Wallet
from core import panels
from payments import refunds
from payments.models import RefundPart
from payments.providers import registry
from payments.providers.base import ProviderRefused
from payments.refunds import PartError
from tests.payments.conftest import METHODS
from tests.payments.dispute_steps import balance, drifts
from tests.payments.refund_steps import approved, pay_by, send, settle, staff, states, workers_round
from tests.sandbox_server import SandboxServer
from tests.staffing import at_desk, in_role

pytestmark = pytest.mark.django_db(transaction=True)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def clerk(transactional_db: None, settings: Any) -> User:
    settings.REFUND_SUPPORT_LIMIT = Decimal(1000)
    return staff("clerk")


def on_the_way(sandbox: SandboxServer, customer: Any, clerk: User, method: str) -> RefundRequest:
    topup = pay_by(sandbox, customer, method)
    sandbox.fault("refund_pending", provider=method)
    refund = send(approved(customer, clerk, "20.00"))
    assert (topup.method, states(refund)) == (method, ["sending"])
    return refund


def wait(refund: RefundRequest, *, until: timedelta) -> RefundRequest:
    """The workers' rounds, every six hours, up to `until` after the part left."""
    start, passed = refund.parts.get().sent_at, timedelta()
    while passed < until:
        passed = min(passed + 6 * HOUR, until)
        workers_round(now=start + passed)
    refund.refresh_from_db()
    return refund


@pytest.mark.parametrize("method", METHODS)
def test_a_part_that_is_pending_for_ever_is_parked_after_three_days(sandbox, customer, clerk, method):
    refund = wait(on_the_way(sandbox, customer, clerk, method), until=3 * DAY - HOUR)
    assert (refund.state, states(refund)) == ("sending", ["sending"])
    refund = wait(refund, until=3 * DAY)
    assert (refund.state, states(refund)) == ("returned", ["parked"])
    assert refund.problem.startswith("part 1 waits: no final answer in 3 days and ")
    assert drifts() == []


def test_a_part_to_a_bank_card_at_wechat_waits_for_seven_days(sandbox, customer, clerk):
    sandbox.fault("refund_to_bank_card", provider="wechat")
    refund = wait(on_the_way(sandbox, customer, clerk, "wechat"), until=7 * DAY - HOUR)
    assert (states(refund), refund.parts.get().to_bank_card) == (["sending"], True)
    assert states(wait(refund, until=7 * DAY)) == ["parked"]
    assert drifts() == []


def test_a_part_is_parked_after_fifty_asks_however_fast_they_came(sandbox, customer, clerk):
    refund = on_the_way(sandbox, customer, clerk, "alipay")
    for number in range(50):
        assert states(refund) == ["sending"], number
        refunds.look(part_id=refund.parts.get().pk, now=timezone.now())
    assert states(refund) == ["parked"]
    assert drifts() == []


def switch_off(settings: Any) -> None:
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "")


def refuse(*args: Any, **kwargs: Any) -> Any:
    raise ProviderRefused("stripe: 403")


def break_down(*args: Any, **kwargs: Any) -> Any:
    raise KeyError("status")


@pytest.mark.parametrize("why", ["keys removed", "a definite 4xx", "an answer that nobody can read", "down"])
def test_a_part_whose_provider_gives_no_answer_any_more_is_parked_and_staff_can_end_it(
    impatient, sandbox, customer, clerk, settings, monkeypatch, why
):
    refund = on_the_way(sandbox, customer, clerk, "stripe")
    if why == "keys removed":
        switch_off(settings)
    elif why == "down":
        sandbox.fault("provider_down", provider="stripe", times=0)
    else:
        broken = refuse if why == "a definite 4xx" else break_down
        monkeypatch.setattr(type(registry.get("stripe")), "_call", staticmethod(broken))
    refund = wait(refund, until=3 * DAY)
    part = refund.parts.get()
    assert (refund.state, part.state) == ("returned", "parked")
    with pytest.raises(PartError, match="may still pay it"):
        refunds.give_back(part_id=part.pk, by=clerk, now=timezone.now())
    refunds.give_back(part_id=part.pk, by=clerk, now=timezone.now(), closed_there=True)
    assert states(refund) == ["failed"]
    assert Wallet.objects.get(customer=customer).paid == 20
    assert drifts() == []


@pytest.mark.parametrize("method", METHODS)
def test_what_was_paid_out_there_without_an_answer_is_confirmed_by_two_and_leaves_the_providers_account(
    sandbox, customer, clerk, method
):
    refund = wait(on_the_way(sandbox, customer, clerk, method), until=3 * DAY)
    part, other = refund.parts.get(), staff("other")
    values = {"part_id": part.pk, "reference": "seen in the console", "now": timezone.now()}
    refunds.record_transfer(**values, by=clerk, paid_there=True)
    with pytest.raises(PartError, match="somebody else"):
        refunds.record_transfer(**values, by=clerk, paid_there=True)
    refunds.record_transfer(**values, by=other)  # another record: by bank
    assert states(refund) == ["parked"]
    refunds.record_transfer(**values, by=clerk, paid_there=True)
    refunds.record_transfer(**values, by=other, paid_there=True)
    refund.refresh_from_db()
    assert (refund.state, states(refund)) == (RefundRequest.State.DONE, ["done"])
    assert balance(f"clearing:{method}:{part.charge_currency}") == 0
    assert refund.parts.get().look_at is not None
    assert drifts() == []


def test_a_parked_part_is_asked_about_daily_and_a_late_answer_ends_it(sandbox, customer, clerk):
    refund = wait(on_the_way(sandbox, customer, clerk, "wechat"), until=3 * DAY)
    part = refund.parts.get()
    settle(sandbox, part, "done")
    assert states(wait(refund, until=4 * DAY - HOUR)) == ["parked"]
    refund = wait(refund, until=4 * DAY)
    assert (refund.state, states(refund)) == (RefundRequest.State.DONE, ["done"])
    assert drifts() == []


def test_finance_parks_a_part_by_hand_and_nobody_their_own(sandbox, customer, clerk):
    refund = on_the_way(sandbox, customer, clerk, "alipay")
    part = refund.parts.get()
    with pytest.raises(PartError, match="You belong to this customer"):
        refunds.park_part(part_id=part.pk, by=customer.members.get(), now=timezone.now())
    refunds.park_part(part_id=part.pk, by=clerk, now=timezone.now())
    refund.refresh_from_db()
    assert (refund.state, states(refund)) == ("returned", ["parked"])
    with pytest.raises(PartError, match="not on its way"):
        refunds.park_part(part_id=part.pk, by=clerk, now=timezone.now())
    assert drifts() == []


def red() -> list[str]:
    return [figure.label for _panel, figure in panels.red_figures() if "on the way" in figure.label]


def test_a_request_that_is_on_its_way_for_three_days_reddens_though_nothing_has_left(sandbox, customer, clerk):
    pay_by(sandbox, customer, "alipay")
    refund = approved(customer, clerk, "20.00")
    for age, figures in ((3 * DAY - HOUR, []), (3 * DAY + HOUR, ["Refunds on the way"])):
        RefundRequest.objects.filter(pk=refund.pk).update(decided_at=timezone.now() - age)
        assert red() == figures


@pytest.mark.parametrize(("method", "hours"), [("alipay", 24), ("wechat", 56)], ids=["a day", "bank cards: two days"])
def test_on_the_way_reddens_with_age_and_the_audit_tells_what_is_beyond_its_time(
    sandbox, customer, clerk, method, hours
):
    sandbox.fault("refund_to_bank_card", provider="wechat")
    refund = on_the_way(sandbox, customer, clerk, method)
    parts = RefundPart.objects.filter(refund=refund)
    for age, is_red in (((hours - 1) * HOUR, False), ((hours + 1) * HOUR, True)):
        parts.update(sent_at=timezone.now() - age)
        assert ("Refund parts on the way" in red()) is is_red
        assert drifts() == []
    parts.update(sent_at=timezone.now() - 8 * DAY)
    [told] = audit().drifts
    assert f"{refund.number} part 1 is on the way beyond its time" in told


def test_the_desk_shows_each_act_for_what_is_parked_and_asks_whether_it_is_closed_there(sandbox, customer, clerk):
    refund = on_the_way(sandbox, customer, clerk, "wechat")
    finance, page = at_desk(in_role("finance")), f"/admin/billing/refundrequest/{refund.pk}"
    assert "Wait no longer" in finance.get(f"{page}/change/").content.decode()
    finance.post(f"{page}/act/park", {"part": 1, "why": "asked their support"})
    shown = finance.get(f"{page}/change/").content.decode()
    for words in (
        "Ask the provider again",
        "Record that the provider paid it",
        "Put back into the balance",
        "退款异常",
    ):
        assert words in shown
    settle(sandbox, refund.parts.get(), "abnormal")
    answer = finance.post(f"{page}/act/give-back", {"part": 1, "why": "closed"}, follow=True)
    assert "First close it in the provider" in answer.content.decode()
    assert states(refund) == ["parked"]
    finance.post(f"{page}/act/give-back", {"part": 1, "why": "closed", "closed": "on"})
    assert states(refund) == ["failed"]
    assert Wallet.objects.get(customer=customer).paid == 20
    assert drifts() == []


def test_the_desk_confirms_what_the_provider_paid_by_two_of_finance(sandbox, customer, clerk):
    refund = wait(on_the_way(sandbox, customer, clerk, "alipay"), until=3 * DAY)
    path = f"/admin/billing/refundrequest/{refund.pk}/act/record-there"
    for finance in (at_desk(in_role("finance")), at_desk(in_role("finance", "second@example.org"))):
        finance.post(path, {"part": 1, "reference": "2026112922001"})
    assert states(refund) == ["done"]
    assert balance("clearing:alipay:CNY") == 0
    assert drifts() == []
