"""Codes: each gives its bonus once a customer, and nobody guesses one."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction

from accounts.models import User
from billing.audit.run import audit, register
from billing.bonus import batches, ending, entering
from billing.bonus.audit import check_codes
from billing.bonus.batches import BatchError
from billing.bonus.entering import CodeError
from billing.models import BonusCode, BonusGrant, CodeBatch, CodeTry, CodeUse, Transfer, Wallet
from tests.billing.conftest import failures, in_threads
from tests.conftest import NOW

DAY = timedelta(days=1)
THERE, ELSEWHERE = "8.8.8.8", "9.9.9.9"


@pytest.fixture(autouse=True)
def _audited_too(_audited):
    register("codes", check_codes)


@pytest.fixture
def finance(db):
    found = [User.objects.create_user(f"{name}@staff.example.org", is_staff=True) for name in "ab"]
    for one in found:
        one.user_permissions.add(Permission.objects.get(codename="post_adjustments"))
    return [User.objects.get(pk=one.pk) for one in found]


@pytest.fixture
def enter(make_customer):
    """Enter a code as one of the account `who`; the use, or the words that refuse it."""
    people = {}

    def act(text, who="Ada", *, address=THERE, at=NOW):
        if who not in people:
            user = User.objects.create_user(f"{who}@example.org".lower())
            user.emailaddress_set.create(email=user.email, verified=True, primary=True)
            people[who] = make_customer(name=who), user
        customer, user = people[who]
        try:
            return entering.enter(customer=customer, user=user, text=text, address=address, now=at)
        except CodeError as error:
            return str(error)

    act.people = people
    return act


def proposed(by, **other):
    terms = {"words": "Hello", "amount": "5", "count": 1, "uses": 1, "ends_at": NOW + DAY, "days": None, "reason": "r"}
    return batches.propose(**{**terms, **other}, by=by, now=NOW)


def codes(by, **other):
    batch = proposed(by, **other)
    return batches.make_codes(batch_id=batch.pk, by=by, now=NOW)


def bonus_of(who, enter):
    assert audit().drifts == []
    return Wallet.objects.get(customer=enter.people[who][0]).bonus


def test_a_code_gives_bonus_once_a_customer(finance, enter):
    [code] = codes(finance[0], uses=2)
    assert isinstance(enter(code), CodeUse)
    assert enter(code) == "This account has used such a code already."
    assert isinstance(enter(code.lower().replace("-", " "), "Bo"), CodeUse)
    assert enter(code, "Cy") == "This code is used up."
    assert [bonus_of(who, enter) for who in ("Ada", "Bo", "Cy")] == [5, 5, 0]
    made = Transfer.objects.filter(kind="grant").first()
    assert (made.key, made.memo) == (f"code:{CodeUse.objects.earliest('pk').pk}", "Hello")


def test_a_code_is_kept_as_a_hash_and_has_128_bits(finance):
    texts = codes(finance[0], count=3)
    assert len(set(texts)) == 3
    assert all(len(text.replace("-", "")) == 26 for text in texts)
    kept = str([*BonusCode.objects.values(), *CodeBatch.objects.values()])
    assert not any(text in kept or text.replace("-", "") in kept for text in texts)
    with pytest.raises(BatchError, match="made already"):
        batches.make_codes(batch_id=CodeBatch.objects.get().pk, by=finance[0], now=NOW)


def test_its_bonus_ends_after_so_many_days(finance, enter):
    [code] = codes(finance[0], days=3)
    enter(code)
    assert BonusGrant.objects.get(ends_at__isnull=False).ends_at == NOW + 3 * DAY
    ending.end_due(now=NOW + 3 * DAY)
    assert bonus_of("Ada", enter) == 0


def test_what_is_stopped_or_over_gives_nothing(finance, enter):
    [stopped], [over] = codes(finance[0]), codes(finance[0], ends_at=NOW + DAY / 2)
    batches.stop(batch_id=CodeBatch.objects.earliest("pk").pk, by=finance[1], now=NOW)
    assert enter(stopped) == enter(over, at=NOW + DAY / 2) == "This code is no longer valid."
    with pytest.raises(BatchError, match="not running"):
        batches.stop(batch_id=CodeBatch.objects.earliest("pk").pk, by=finance[1], now=NOW)
    assert bonus_of("Ada", enter) == 0


def test_after_five_wrong_ones_an_hour_the_right_one_waits(finance, enter):
    [code] = codes(finance[0], uses=3)
    for _ in range(5):
        assert enter("wrong") == "There is no such code."
    waits = "Too many wrong codes. Try again in an hour."
    assert enter(code, address=ELSEWHERE) == waits, "of an account"
    assert enter(code, "Bo") == waits, "of a network"
    assert isinstance(enter(code, "Bo", address=ELSEWHERE), CodeUse)
    assert isinstance(enter(code, at=NOW + entering.HOUR), CodeUse)
    assert (entering.forget_tries(now=NOW + entering.HOUR), CodeTry.objects.count()) == (5, 0)


def test_who_confirmed_no_address_or_is_suspended_gets_nothing(finance, enter):
    [code] = codes(finance[0])
    enter("wrong")
    customer, user = enter.people["Ada"]
    user.emailaddress_set.update(verified=False)
    assert enter(code) == "Confirm your address first."
    user.emailaddress_set.update(verified=True)
    type(customer).objects.update(suspended_at=NOW, suspended_reason="x")
    assert enter(code) == "This account is suspended."


def test_what_is_worth_much_needs_a_second(finance, settings):
    settings.CODES_LIMIT = Decimal(100)
    batch = proposed(finance[0], count=3, uses=7)
    assert (batch.state, batch.needs_second) == ("proposed", True)
    with pytest.raises(BatchError, match="not approved"):
        batches.make_codes(batch_id=batch.pk, by=finance[0], now=NOW)
    with pytest.raises(BatchError, match="You proposed it"):
        batches.approve(batch_id=batch.pk, by=finance[0], now=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        CodeBatch.objects.update(state="posted", decided_by=finance[0], decided_at=NOW)
    batches.approve(batch_id=batch.pk, by=finance[1], now=NOW)
    assert len(batches.make_codes(batch_id=batch.pk, by=finance[0], now=NOW)) == 3


def test_many_small_ones_of_a_day_are_worth_much(finance, settings):
    settings.CODES_LIMIT = Decimal(100)
    made = [proposed(finance[0], amount="50").state for _ in range(3)]
    assert made == ["posted", "posted", "proposed"]
    assert proposed(finance[1], amount="50").state == "posted"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"amount": "x"}, "such as 12.50"),
        ({"amount": "0"}, "above zero"),
        ({"count": 0}, "From 1 to"),
        ({"uses": 10**9}, "From 1 to"),
        ({"days": 0}, "From 1 to"),
        ({"ends_at": NOW}, "over already"),
        ({"amount": "9999", "count": 2}, "At most"),
        ({"reason": " "}, "Say why"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_in_words(finance, wrong, words):
    with pytest.raises(BatchError, match=words):
        proposed(finance[0], **wrong)


def test_codes_are_for_finance(db):
    with pytest.raises(BatchError, match="for finance"):
        proposed(User.objects.create_user("s@staff.example.org", is_staff=True))


def test_who_dies_while_a_code_is_entered_has_not_used_it(finance, enter, monkeypatch):
    [code] = codes(finance[0])
    enter("wrong")
    with monkeypatch.context() as patch:
        patch.setattr(CodeUse, "save", lambda *_args, **_kwargs: 1 / 0)
        patch.setattr(CodeUse, "save_base", CodeUse.save_base)
        with pytest.raises(ZeroDivisionError):
            enter(code)
    assert bonus_of("Ada", enter) == 0
    assert isinstance(enter(code), CodeUse)
    assert bonus_of("Ada", enter) == 5


@pytest.mark.django_db(transaction=True)
def test_at_once_one_customer_and_one_use_win(finance, enter):
    [code] = codes(finance[0])
    for who in ("Ada", "Bo"):
        enter("wrong", who, address="")
    acts = [lambda who=who: enter(code, who) for who in ("Ada", "Bo") * 3]
    results = in_threads(*acts)
    assert failures(results) == []
    assert sum(isinstance(result, CodeUse) for result in results) == 1
    assert bonus_of("Ada", enter) + bonus_of("Bo", enter) == 5


@pytest.mark.django_db(transaction=True)
def test_wrong_ones_at_once_are_counted(finance, enter):
    [code] = codes(finance[0])
    enter("wrong")
    results = in_threads(*[lambda: enter("no")] * 8)
    assert results.count("There is no such code.") == 4
    assert enter(code).startswith("Too many")
