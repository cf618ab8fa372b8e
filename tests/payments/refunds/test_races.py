"""Workers, notifications and staff at one part at once, and workers that die: it is paid once, and the books hold."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from billing import refunds
from billing.models import RefundRequest, Transfer, Wallet
from payments import refunds as refunding
from payments.models import RefundPart
from payments.providers import registry
from payments.providers.base import RefundFact, RefundOrder, RefundOutcome
from payments.refunds import PartError, looking
from tests.payments.conftest import METHODS
from tests.payments.dispute_steps import drifts
from tests.payments.fake_refunds import FakeProvider, paid_in
from tests.payments.refund_steps import approve, approved, pay_by, send, staff, states, there

pytestmark = pytest.mark.django_db(transaction=True)

DONE = RefundFact(RefundOutcome.DONE)
ABNORMAL = RefundFact(RefundOutcome.PARKED, detail="ABNORMAL")
ROUNDS = 4


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    fake = FakeProvider()
    monkeypatch.setattr(registry, "get", lambda code: fake)
    return fake


@pytest.fixture
def clerk(transactional_db: None) -> User:
    return staff("clerk")


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """The results or exceptions of acts that begin together."""
    start = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            start.wait(20)
            return act()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def looks(part: RefundPart) -> Callable[[], Any]:
    return lambda: refunding.look(part_id=part.pk, now=timezone.now())


def posted(kind: str) -> int:
    return Transfer.objects.filter(kind=kind).count()


def test_workers_who_ask_about_one_part_at_once_book_its_arrival_once(make_customer, clerk, provider):
    for number in range(1, ROUNDS + 1):
        customer = make_customer()
        paid_in(customer, "stripe")
        provider.says = lambda order: DONE
        refund = send(approved(customer, clerk, "20.00"))
        results = at_once(*[looks(refund.parts.get())] * 6)
        assert set(results) == {RefundOutcome.DONE}
        refund.refresh_from_db()
        assert (refund.state, refund.returned) == (RefundRequest.State.DONE, 20)
        assert posted("refund_done") == number
    assert drifts() == []


def test_workers_who_hear_at_once_that_a_failed_part_was_paid_book_it_once(make_customer, clerk, provider):
    for number in range(1, ROUNDS + 1):
        customer = make_customer()
        paid_in(customer, "stripe")
        refund = send(approved(customer, clerk, "20.00"))
        part = refund.parts.get()
        refunding.book(part_id=part.pk, fact=RefundFact(RefundOutcome.FAILED), now=timezone.now())
        provider.says = lambda order: DONE
        at_once(
            *[looks(part)] * 5, lambda pk=refund.pk: refunds.deny(refund_id=pk, words="x", by=clerk, now=timezone.now())
        )
        refund.refresh_from_db()
        part.refresh_from_db()
        assert (part.state, part.round, refund.sent, refund.paid_after_all) == ("done", 2, 20, 20)
        assert Wallet.objects.get(customer=customer).paid == 0
        assert posted("refund_done") == number
    assert drifts() == []


def test_workers_who_hear_at_once_that_a_part_paid_by_bank_was_paid_there_too_book_it_once(
    make_customer, clerk, provider
):
    other = staff("other")
    for _round in range(ROUNDS):
        customer = make_customer()
        paid_in(customer, "wechat")
        refund = send(approved(customer, clerk, "20.00"))
        part = refund.parts.get()
        provider.says = lambda order: ABNORMAL
        refunding.look(part_id=part.pk, now=timezone.now())
        for by in (clerk, other):
            refunding.record_transfer(part_id=part.pk, reference="B", by=by, now=timezone.now())
        provider.says = lambda order: DONE
        at_once(*[looks(part)] * 5)
        refund.refresh_from_db()
        assert (states(refund), refund.excess) == (["done", "done"], 20)
    assert drifts() == []


@pytest.mark.parametrize("end", ["give back", "transfer"])
def test_an_act_of_staff_and_the_providers_success_at_once_pay_once_or_say_that_it_was_twice(
    make_customer, clerk, provider, end
):
    other = staff("other")
    for _round in range(ROUNDS):
        customer = make_customer()
        paid_in(customer, "wechat")
        refund = send(approved(customer, clerk, "20.00"))
        part = refund.parts.get()
        provider.says = lambda order: ABNORMAL
        refunding.look(part_id=part.pk, now=timezone.now())
        values = {"part_id": part.pk, "now": timezone.now()}
        if end == "transfer":
            refunding.record_transfer(**values, reference="B", by=clerk)
            act = lambda values=values: refunding.record_transfer(**values, reference="B", by=other)  # noqa: E731
        else:
            act = lambda values=values: refunding.give_back(**values, by=clerk)  # noqa: E731
        provider.says = lambda order: DONE
        results = at_once(act, looks(part))
        assert all(not isinstance(found, Exception) or isinstance(found, PartError) for found in results), results
        refunding.look_by_key(key=part.key, now=timezone.now())  # as the watch does later
        refund.refresh_from_db()
        by_bank = Transfer.objects.filter(credit__name="bank:CNY", group=f"refund:{refund.pk}").count()
        by_provider = Transfer.objects.filter(credit__name="clearing:wechat:CNY", group=f"refund:{refund.pk}").count()
        assert by_provider == 1
        assert refund.returned == 20 * (by_bank + by_provider)
        assert refund.excess == 20 * by_bank
        assert Wallet.objects.get(customer=customer).paid == 0
    assert drifts() == []


@pytest.mark.parametrize("old", ["abnormal", "failed", "pending"])
def test_an_answer_that_was_overtaken_by_a_newer_one_is_asked_for_again(customer, clerk, provider, old):
    """One worker holds an old answer while another books the success: the old one must not undo it."""
    paid_in(customer, "wechat")
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    has_old, may_go_on = threading.Event(), threading.Event()
    outcome = {"abnormal": RefundOutcome.PARKED, "failed": RefundOutcome.FAILED, "pending": RefundOutcome.PENDING}[old]

    def says(order: RefundOrder) -> RefundFact:
        if threading.current_thread().name.startswith("slow") and not has_old.is_set():
            has_old.set()
            may_go_on.wait(20)
            return RefundFact(outcome)
        return DONE

    provider.says = says

    def work() -> RefundOutcome:
        try:
            return refunding.look(part_id=part.pk, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(1, thread_name_prefix="slow") as pool:
        slow = pool.submit(work)
        assert has_old.wait(20)
        assert refunding.look(part_id=part.pk, now=timezone.now()) is RefundOutcome.DONE
        may_go_on.set()
        assert slow.result(20) is RefundOutcome.DONE
    refund.refresh_from_db()
    assert (refund.state, refund.returned, states(refund)) == (RefundRequest.State.DONE, 20, ["done"])
    assert not refunding.contradicted().exists()
    assert drifts() == []


class Killed(BaseException):
    """The worker is gone, and nothing of its code runs any more."""


def die(*args: Any, **kwargs: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_dies_between_the_call_and_the_commit_has_paid_once(
    sandbox, customer, clerk, method, monkeypatch
):
    pay_by(sandbox, customer, method)
    refund = approved(customer, clerk, "20.00")
    monkeypatch.setattr(looking, "book", die)
    with pytest.raises(Killed):
        send(refund)
    monkeypatch.undo()
    assert (states(refund), len(there(sandbox))) == (["sending"], 1)
    assert drifts() == []
    for second in (6, 30, 60, 120, 500):
        for part_id in refunding.claim_parts(now=timezone.now() + timedelta(seconds=second)):
            refunding.look(part_id=part_id, now=timezone.now())
        time.sleep(0.1)  # what WeChat takes
    refund.refresh_from_db()
    assert (refund.state, refund.returned, len(there(sandbox))) == (RefundRequest.State.DONE, 20, 1)
    assert drifts() == []


@pytest.mark.parametrize("fact", [DONE, ABNORMAL, RefundFact(RefundOutcome.FAILED)], ids=["done", "parked", "failed"])
@pytest.mark.parametrize("state", ["sending", "done", "failed"])
def test_a_worker_that_dies_while_it_books_has_booked_nothing_and_the_next_one_all(
    customer, clerk, provider, monkeypatch, state, fact
):
    paid_in(customer, "wechat")
    refund = send(approved(customer, clerk, "20.00"))
    part = refund.parts.get()
    steps = {"done": DONE, "failed": RefundFact(RefundOutcome.FAILED)}
    if state in steps:
        refunding.book(part_id=part.pk, fact=steps[state], now=timezone.now())
    before = (states(refund), Transfer.objects.count())
    real = RefundPart.save
    calls = []

    def save(self: RefundPart, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        calls.append(1)
        if len(calls) > 1:  # the note of what its provider said is the first
            raise Killed

    monkeypatch.setattr(RefundPart, "save", save)
    try:
        refunding.book(part_id=part.pk, fact=fact, now=timezone.now())
    except Killed:
        assert (states(refund), Transfer.objects.count()) == before
    monkeypatch.undo()
    assert drifts() == []
    refunding.book(part_id=part.pk, fact=fact, now=timezone.now())
    becomes = {RefundOutcome.DONE: "done", RefundOutcome.FAILED: "failed", RefundOutcome.PARKED: "parked"}
    stays = state == "failed" and fact is not DONE
    assert states(refund) == ["failed" if stays else becomes[fact.outcome]]
    assert drifts() == []


def test_a_request_that_is_approved_while_its_part_is_paid_after_all_sends_nothing_twice(
    make_customer, clerk, provider
):
    for _round in range(ROUNDS):
        customer = make_customer()
        paid_in(customer, "wechat")
        refund = send(approved(customer, clerk, "20.00"))
        part = refund.parts.get()
        refunding.book(part_id=part.pk, fact=RefundFact(RefundOutcome.FAILED), now=timezone.now())
        provider.says, provider.on_send = (lambda order: DONE), (lambda order: DONE)
        at_once(lambda refund=refund: approve(refund, clerk, "20.00"), looks(part))
        refund.refresh_from_db()
        if refund.state == RefundRequest.State.APPROVED:
            send(refund)
        refund.refresh_from_db()
        assert (refund.state, refund.returned) == (RefundRequest.State.DONE, Decimal("20.00"))
        assert refund.parts.count() == 1
    assert drifts() == []
