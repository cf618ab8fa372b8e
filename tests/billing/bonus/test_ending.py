"""Bonus that ends: what is spent takes of what ends first, and what is left at its end is taken back, unless held."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO

import hypothesis
import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from hypothesis import strategies as st

from billing.audit.run import audit
from billing.bonus import ending
from billing.bonus.remaining import Given, endings, left_of
from billing.books import holds
from billing.books.grants import grant_bonus
from billing.books.holds import Resolution
from billing.books.ledger import Posting, TransferConflict, house_account, post
from billing.models import BonusGrant, Event, Hold, Transfer, Wallet
from tests.billing.bonus.conftest import DAY, bonus, given, spend
from tests.billing.conftest import failures, in_threads, topup
from tests.conftest import NOW
from tests.outbox import mails


def expired() -> list[tuple[str, str]]:
    found = Transfer.objects.filter(kind="bonus_expired").order_by("pk")
    return [(made.key.partition(":")[2].partition(":")[2], f"{made.amount:.2f}") for made in found]


def lefts(wallet: Wallet) -> list[str]:
    return [f"{one.left:.2f}" for one in endings(wallet.pk)]


def test_what_is_left_at_its_end_is_taken_back_once(bare):
    given(bare, "5", days=10)
    assert ending.end_due(now=NOW + 10 * DAY - DAY / 24) == 0
    assert bonus(bare) == "5.00"
    assert [ending.end_due(now=NOW + 10 * DAY), ending.end_due(now=NOW + 11 * DAY)] == [1, 0]
    assert (bonus(bare), expired()) == ("0.00", [("expired", "5.00")])


def test_what_was_spent_before_the_end_is_not_taken_again(bare):
    given(bare, "5", days=10)
    spend(bare, "3.5")
    assert lefts(bare) == ["1.50"]
    ending.end_due(now=NOW + 10 * DAY)
    assert (bonus(bare), expired()) == ("0.00", [("expired", "1.50")])


def test_one_that_is_spent_ends_without_a_transfer(bare):
    given(bare, "5", days=10)
    spend(bare, "5")
    assert ending.end_due(now=NOW + 10 * DAY) == 1
    assert (bonus(bare), expired()) == ("0.00", [])


def test_of_two_the_one_that_ends_first_is_spent_first(bare):
    given(bare, "5", days=30)
    given(bare, "2", days=None)
    given(bare, "3", days=10)
    spend(bare, "4")
    assert lefts(bare) == ["0.00", "4.00"]
    ending.end_due(now=NOW + 10 * DAY)
    assert bonus(bare) == "6.00"
    ending.end_due(now=NOW + 30 * DAY)
    assert bonus(bare) == "2.00", "what never ends stays"


def plainly(rows: list[tuple[Decimal, int, Decimal]]) -> list[Decimal]:
    """What is left of each, by looking at all that ends after each cent: the end, or 0 for never, in days."""
    left: list[Decimal] = []
    for amount, _end, spent in rows:
        left.append(amount)
        while spent and any(left):
            _end, first = min((rows[at][1] or 10**6, at) for at in range(len(left)) if left[at])
            left[first] -= 1
            spent -= 1
    return left


@hypothesis.given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.integers(0, 9)), max_size=12))
def test_what_is_left_of_what_ends_does_not_hang_on_what_never_does(rows):
    rows = [(Decimal(amount), end, Decimal(spent)) for amount, end, spent in rows]
    expected = [left for left, (_amount, end, _spent) in zip(plainly(rows), rows, strict=True) if end]
    given: list[Given] = []
    for amount, end, spent in rows:
        if end:
            given.append(Given(amount, NOW + end * DAY, spent))
        elif given:
            given[-1] = replace(given[-1], spent_until_next=given[-1].spent_until_next + spent)
    assert left_of(given) == expected


def test_what_is_left_is_worked_out_of_sums_alone(bare, django_assert_num_queries):
    given(bare, "9", days=None)
    for number in range(30):
        given(bare, "1", days=10 + number)
        spend(bare, "0.5")
    with django_assert_num_queries(4):
        assert sum(one.left for one in endings(bare.pk)) == 15


def test_what_was_spent_earlier_takes_nothing_of_what_came_later(bare):
    given(bare, "5", days=None)
    spend(bare, "4")
    given(bare, "3", days=10)
    assert lefts(bare) == ["3.00"]


def test_what_ended_takes_no_later_spending(bare):
    given(bare, "5", days=10)
    ending.end_due(now=NOW + 10 * DAY)
    given(bare, "3", days=30)
    spend(bare, "2")
    assert lefts(bare) == ["1.00"]
    ending.end_due(now=NOW + 30 * DAY)
    assert bonus(bare) == "0.00"


def test_a_charge_that_is_given_back_after_the_end_stays(bare):
    given(bare, "5", days=10)
    spend(bare, "5")
    ending.end_due(now=NOW + 10 * DAY)
    given(bare, "3", days=30)
    back = Posting("gen-1:bonus:reversed", "reversal", house_account("revenue:bonus"), bare.bonus_account, Decimal(2))
    post([back], now=NOW)
    ending.end_due(now=NOW + 30 * DAY)
    assert bonus(bare) == "2.00"


def test_what_is_held_at_the_end_waits_and_may_still_be_charged(bare):
    given(bare, "5", days=10)
    holds.place(customer_id=bare.pk, key="gen-a", kind=Hold.Kind.REQUEST, amount=Decimal(3), now=NOW)
    holds.place(customer_id=bare.pk, key="gen-b", kind=Hold.Kind.REQUEST, amount=Decimal(1), now=NOW)
    at = NOW + 10 * DAY
    assert ending.end_due(now=at) == 0
    assert (bonus(bare), bare.available, expired()) == ("4.00", 0, [("expired", "1.00")])
    holds.resolve([Resolution("gen-a", Decimal(2), "completed")], now=NOW)
    spend(bare, "2", request="gen-a")
    assert ending.end_due(now=at) == 0, "it is looked at again in a minute"
    assert ending.end_due(now=at + ending.LOOK_AGAIN) == 0
    assert (bonus(bare), expired()[1:]) == ("1.00", [("expired:2", "1.00")])
    holds.resolve([Resolution("gen-b", None, "failed")], now=NOW)
    assert ending.end_due(now=at + 2 * ending.LOOK_AGAIN) == 1
    assert (bonus(bare), expired()[2:]) == ("0.00", [("expired:3", "1.00")])


def test_a_debt_is_not_made_larger(bare):
    topup(bare, "1")
    given(bare, "5", days=10)
    post([Posting("gen-1:paid", "usage", bare.paid_account, house_account("revenue:usage"), Decimal(3))], now=NOW)
    ending.end_due(now=NOW + 10 * DAY)
    assert bonus(bare) == "2.00"
    assert bare.available == 0


def test_nothing_is_taken_where_the_worker_dies(bare, monkeypatch):
    grant = given(bare, "5", days=10)

    def dies(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BonusGrant, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            ending.end(grant_id=grant.pk, now=NOW + 10 * DAY)
    assert bonus(bare) == "5.00"
    assert ending.end(grant_id=grant.pk, now=NOW + 10 * DAY)
    assert bonus(bare) == "0.00"


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_it_once(bare):
    grants = [given(bare, "5", days=10).pk, given(bare, "4", days=9).pk]
    acts = [lambda pk=pk: ending.end(grant_id=pk, now=NOW + 10 * DAY) for pk in grants * 3]
    assert failures(in_threads(*acts)) == []
    ending.end_due(now=NOW + 11 * DAY)
    assert bonus(bare) == "0.00"
    assert sorted(amount for _key, amount in expired()) == ["4.00", "5.00"]


def test_owners_hear_of_it_a_week_before_and_once(bare, user):
    bare.customer.membership_set.create(user=user) if not bare.customer.members.exists() else None
    given(bare, "5", days=30)
    given(bare, "1", days=6)
    spend(bare, "2.5")
    assert ending.end_due(now=NOW + 22 * DAY) == 1
    assert not Event.objects.filter(kind="bonus.ends").exists(), "of the short one nobody is told"
    for _ in range(2):
        ending.end_due(now=NOW + 23 * DAY)
    letter = mails().get(customer=bare.customer)
    assert letter.subject == "Some of your bonus ends in 7 days"
    assert "$3.5000 of your bonus can be spent until 2026-12-23 12:00 UTC" in letter.body


def test_of_what_is_spent_nobody_is_told(bare):
    given(bare, "5", days=30)
    spend(bare, "5")
    ending.end_due(now=NOW + 24 * DAY)
    assert not Event.objects.filter(kind="bonus.ends").exists()


def test_a_key_grants_until_one_day(bare):
    one = {"customer": bare.customer, "amount": Decimal(1), "key": "grant:x", "reason": "r", "now": NOW}
    first = grant_bonus(**one, ends_at=NOW + DAY)
    assert grant_bonus(**one, ends_at=NOW + DAY) == first
    for other in (None, NOW + 2 * DAY):
        with pytest.raises(TransferConflict):
            grant_bonus(**one, ends_at=other)
    with pytest.raises(ValueError, match="ends after"):
        grant_bonus(**{**one, "key": "grant:y"}, ends_at=NOW)


def test_the_database_keeps_ends_and_sums_as_they_can_be(bare):
    grant = given(bare, "1", days=1)
    for wrong in ({"expired": 2}, {"expired": -1}, {"ends_at": NOW}, {"amount": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            BonusGrant.objects.filter(pk=grant.pk).update(**wrong)


def test_the_audit_sees_a_row_that_its_transfers_do_not_bear_out(bare):
    grant = given(bare, "1", days=1)
    BonusGrant.objects.filter(pk=grant.pk).update(expired=Decimal("0.5"), takes=1)
    assert audit().drifts == [f"customer {bare.pk}: bonus {grant.pk} says 0.50000000 ended, by its transfers it is 0"]


def test_the_command_grants_until_a_day(user, wallet):
    def grant(ends: str) -> str:
        out = StringIO()
        given = {"email": user.email, "amount": "2", "reason": "r", "key": "k", "ends": ends}
        call_command("grant", **given, stdout=out)
        return out.getvalue()

    assert "until 2126-01-31 00:00 UTC" in grant("2126-01-31")
    assert BonusGrant.objects.get(ends_at__isnull=False).amount == 2
    for wrong, words in (("soon", "ISO 8601"), ("2020-01-01", "over already"), ("2126-02-01", "until another day")):
        with pytest.raises(CommandError, match=words):
            grant(wrong)
