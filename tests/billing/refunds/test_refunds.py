"""Refund requests in the books: what fits, what is frozen, who may decide, and what happens when two act at once."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.core import mail as outbox
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Membership, User
from billing import refunds
from billing.audit.run import check_wallet
from billing.books import holds
from billing.books.ledger import Posting, house_account, post
from billing.models import Hold, Mail, RefundRequest
from billing.outbox import mail
from billing.requests.workdays import due_after
from tests.billing.conftest import balances, failures, in_threads, topup
from tests.conftest import NOW
from tests.examples import examples

pytestmark = pytest.mark.django_db

State = RefundRequest.State


@pytest.fixture
def clerk(db):
    return User.objects.create_user("clerk@example.org", "a rather long one", is_staff=True)


def finance(name: str) -> User:
    user = User.objects.create_user(f"{name}@example.org", "a rather long one", is_staff=True)
    wanted = Permission.objects.filter(codename="approve_large_refunds").first()
    if wanted is None:  # before the roles are migrated, as in a test of this app alone
        user.is_superuser = True
        user.save(update_fields=["is_superuser"])
    else:
        user.user_permissions.add(wanted)
    return User.objects.get(pk=user.pk)


def ask(customer, amount="5.00", **options):
    return refunds.ask(customer=customer, amount=amount, reason="not needed", now=NOW, **options)


def spend(wallet, amount: str, key: str = "gen-1") -> None:
    usage = house_account("revenue:usage")
    post([Posting(f"{key}:paid", "usage", wallet.paid_account, usage, Decimal(amount))], now=NOW)


def test_only_paid_balance_that_nothing_else_holds_is_refundable_down_to_the_cent(customer, wallet):
    topup(wallet, "20")
    spend(wallet, "1.23456789")
    holds.place(customer_id=customer.pk, key="gen-x", kind=Hold.Kind.REQUEST, amount=Decimal("0.5"), now=NOW)
    holds.place(customer_id=customer.pk, key="dispute:1", kind=Hold.Kind.DISPUTE, amount=Decimal(3), now=NOW)
    ask(customer, "5.00")
    most = refunds.refundable(customer_id=customer.pk)
    # 20 - 1.23456789 - 3 - 5 = 10.76543211; the bonus of 10 covers the request in flight
    assert most.amount == Decimal("10.76")
    assert (most.bonus, most.frozen, most.disputed, most.in_flight) == (10, 5, 3, Decimal("0.5"))


def test_bonus_is_never_refundable(customer, wallet):
    with pytest.raises(refunds.RefundError, match=r"0\.00"):
        ask(customer, "1.00")


@pytest.mark.parametrize("amount", ["0", "-1", "1.001", "1e2", "NaN", "", "1,00", None, 1.5, True, "999999999999999"])
def test_an_amount_that_cannot_be_meant_is_refused(customer, wallet, amount):
    topup(wallet, "20")
    with pytest.raises(refunds.RefundError):
        ask(customer, amount)
    assert not RefundRequest.objects.exists()
    assert balances(wallet)[2] == 0


def test_what_was_asked_cannot_be_spent_and_comes_back_when_cancelled(customer, wallet):
    topup(wallet, "20")
    refund = ask(customer, "20.00")
    with pytest.raises(holds.InsufficientBalance):
        holds.place(customer_id=customer.pk, key="gen-x", kind=Hold.Kind.REQUEST, amount=Decimal("10.01"), now=NOW)
    refunds.cancel(refund_id=refund.pk, now=NOW)
    assert balances(wallet)[2] == 0
    with pytest.raises(refunds.NotMovable):
        refunds.cancel(refund_id=refund.pk, now=NOW)


def test_a_part_of_it_may_be_approved_and_the_rest_is_free_again(customer, wallet, clerk):
    topup(wallet, "20")
    refund = ask(customer, "20.00")
    refunds.approve(refund_id=refund.pk, amount="8.00", by=clerk, now=NOW)
    assert balances(wallet)[2] == 8
    with pytest.raises(refunds.NotMovable):
        refunds.cancel(refund_id=refund.pk, now=NOW)  # approved: too late


def test_nobody_decides_on_a_customer_they_belong_to(customer, wallet, clerk):
    topup(wallet, "20")
    refund = ask(customer)
    Membership.objects.create(user=clerk, customer=customer)
    for act in (
        lambda: refunds.approve(refund_id=refund.pk, amount="5.00", by=clerk, now=NOW),
        lambda: refunds.deny(refund_id=refund.pk, words="no", by=clerk, now=NOW),
        lambda: refunds.propose(refund_id=refund.pk, amount="5.00", by=clerk, now=NOW),
        lambda: ask(customer, entered_by=clerk),
    ):
        with pytest.raises(refunds.NotAllowed):
            act()


def test_above_the_limit_one_proposes_and_another_of_finance_approves(customer, wallet, clerk):
    topup(wallet, "500")
    refund = ask(customer, "300.00")
    first, second = finance("first"), finance("second")

    def approve(by: User, amount: str = "300.00") -> None:
        refunds.approve(refund_id=refund.pk, amount=amount, by=by, now=NOW)

    for by in (clerk, first):
        with pytest.raises(refunds.NotAllowed):
            approve(by)
    refunds.propose(refund_id=refund.pk, amount="200.00", by=first, now=NOW)
    for by, amount in ((clerk, "200.00"), (first, "200.00"), (second, "200.01")):
        with pytest.raises(refunds.NotAllowed):
            approve(by, amount)
    approve(second, "200.00")
    refund.refresh_from_db()
    assert (refund.state, refund.approved, refund.decided_by) == (State.APPROVED, 200, second)


def test_a_denial_needs_words_and_the_customer_reads_them_in_their_language(customer, wallet, clerk, user):
    topup(wallet, "20")
    refund = ask(customer, locale="zh-hans")
    with pytest.raises(refunds.RefundError):
        refunds.deny(refund_id=refund.pk, words="  ", by=clerk, now=NOW)
    refunds.deny(refund_id=refund.pk, words="no receipt", by=clerk, now=NOW)
    assert balances(wallet)[2] == 0
    assert mail.send_due(now=NOW) == 2
    assert mail.send_due(now=NOW) == 0
    assert [m.to for m in outbox.outbox] == [[user.email], [user.email]]
    assert "no receipt" in outbox.outbox[1].body
    assert "退款" in outbox.outbox[0].subject


def test_mail_that_the_server_refuses_is_sent_later(customer, wallet, user, settings):
    topup(wallet, "20")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    ask(customer)
    assert mail.send_due(now=NOW) == 0
    assert mail.send_due(now=NOW + timedelta(seconds=10)) == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert mail.send_due(now=NOW + timedelta(minutes=2)) == 1
    assert Mail.objects.get().sent_at is not None


def test_the_desk_asks_and_the_customer_answers(customer, wallet, clerk):
    topup(wallet, "20")
    refund = ask(customer)
    with pytest.raises(refunds.NotMovable):
        refunds.answer(refund_id=refund.pk, text="what?", now=NOW)
    refunds.ask_back(refund_id=refund.pk, question="Which card?", by=clerk, now=NOW)
    refunds.answer(refund_id=refund.pk, text="The blue one", now=NOW)
    refund.refresh_from_db()
    assert (refund.question, refund.answer, refund.state) == ("Which card?", "The blue one", State.REQUESTED)


def test_three_business_days_skip_weekends_and_holidays(settings):
    settings.BUSINESS_HOLIDAYS = frozenset({date(2026, 12, 1)})
    friday = datetime(2026, 11, 27, 3, tzinfo=UTC)
    due = due_after(friday, days=3).astimezone(UTC)
    # Saturday, Sunday; Monday is the first, Tuesday a holiday, Wednesday, Thursday; midnight in Shanghai
    assert due == datetime(2026, 12, 3, 15, 59, 59, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_two_of_staff_approve_at_once_and_one_is_told(customer, wallet, clerk):
    topup(wallet, "20")
    refund = ask(customer, "20.00")
    other = User.objects.create_user("other@example.org", "a rather long one", is_staff=True)
    results = in_threads(
        lambda: refunds.approve(refund_id=refund.pk, amount="20.00", by=clerk, now=NOW),
        lambda: refunds.approve(refund_id=refund.pk, amount="12.00", by=other, now=NOW),
    )
    [failure] = failures(results)
    assert isinstance(failure, refunds.NotMovable)
    refund.refresh_from_db()
    assert balances(wallet)[2] == refund.approved
    assert list(check_wallet(customer.pk)) == []


@pytest.mark.django_db(transaction=True)
def test_approval_and_cancellation_at_once_end_in_one_of_them(customer, wallet, clerk):
    topup(wallet, "20")
    for number in range(5):
        refund = ask(customer, "20.00")
        results = in_threads(
            lambda pk=refund.pk: refunds.approve(refund_id=pk, amount="20.00", by=clerk, now=NOW),
            lambda pk=refund.pk: refunds.cancel(refund_id=pk, now=NOW),
        )
        assert len(failures(results)) == 1, number
        refund.refresh_from_db()
        if refund.state == State.CANCELLED:
            assert balances(wallet)[2] == 0
        else:
            assert balances(wallet)[2] == 20
            refunds.return_to_desk(refund_id=refund.pk, problem="test", now=NOW)
            refunds.deny(refund_id=refund.pk, words="test", by=clerk, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_asked_many_times_at_once_no_more_is_frozen_than_there_is(customer, wallet):
    topup(wallet, "20")
    results = in_threads(*[lambda: ask(customer, "6.00")] * 10)
    assert len(failures(results)) == 7
    assert balances(wallet)[2] == 18
    assert list(check_wallet(customer.pk)) == []


STEP = st.sampled_from(["sent", "done", "failed", "bounced", "finish", "approve", "deny", "spend"])


@given(steps=st.lists(st.tuples(STEP, st.integers(1, 4)), max_size=14))
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_becomes_of_the_parts_the_wallet_agrees_and_nothing_is_paid_twice(steps, make_customer):
    customer = make_customer("3")
    wallet = customer.wallet
    topup(wallet, "20", key=f"topup:{customer.pk}")
    by = User.objects.create_user(f"clerk{customer.pk}@example.org", "a rather long one", is_staff=True)
    refund = ask(customer, "16.00")
    refunds.approve(refund_id=refund.pk, amount="16.00", by=by, now=NOW)
    refunds.begin_sending(refund_id=refund.pk, now=NOW)
    parts: dict[int, str] = {}
    four = Decimal("4.00")
    for number, (step, part) in enumerate(steps):
        chosen = len(parts) + 1 if step == "sent" else part
        state = parts.get(chosen, "")
        values = {"part": chosen, "now": NOW, "refund_id": refund.pk}
        money = refunds.PartMoney(amount=four, charge_amount=four, currency="USD", clearing="clearing:stripe:USD")
        try:
            if step == "sent" and refunds.part_sent(**values, amount=four):
                parts[chosen] = "sent"
            elif step == "done" and state == "sent":
                refunds.part_done(**values, money=money)
                parts[chosen] = "done"
            elif (step == "failed" and state == "sent") or (step == "bounced" and state == "done"):
                refunds.part_failed(**values, money=money, was_done=state == "done")
                parts[chosen] = "back"
            elif step == "finish":
                refunds.finish(refund_id=refund.pk, now=NOW)
                refunds.return_to_desk(refund_id=refund.pk, problem="test", now=NOW)
            elif step == "approve":
                refunds.approve(refund_id=refund.pk, amount=four * part, by=by, now=NOW)
                refunds.begin_sending(refund_id=refund.pk, now=NOW)
            elif step == "deny":
                refunds.deny(refund_id=refund.pk, words="no", by=by, now=NOW)
            elif step == "spend" and wallet.__class__.objects.get(pk=wallet.pk).available >= 1:
                spend(wallet, "0.50", key=f"gen-{customer.pk}-{number}")
        except refunds.RefundError:
            pass
        refund.refresh_from_db()
        out = sum(four for part_state in parts.values() if part_state in ("sent", "done"))
        assert refund.sent == out <= Decimal("16.00")
        assert refund.returned == sum(four for part_state in parts.values() if part_state == "done")
        frozen = refunds.refundable(customer_id=customer.pk).frozen
        assert frozen <= Decimal("16.00") - out
        if refund.state not in RefundRequest.OPEN:
            assert frozen == 0
        assert list(check_wallet(customer.pk)) == []
