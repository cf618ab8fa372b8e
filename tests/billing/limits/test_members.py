"""A member's cap counts what all of the member's keys spent, also before it was set."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from accounts.keys import issuing
from accounts.models import ApiKey, KeyMeter, MemberMeter, Membership, User
from billing.limits import members
from tests.conftest import NOW

TODAY = NOW.date()


@pytest.fixture
def member(customer) -> Membership:
    user = User.objects.create_user("dev@example.org", "a rather long one")
    return Membership.objects.create(user=user, customer=customer, role="developer")


def key_of(member: Membership, *, day: date, spent: str, charged: str) -> ApiKey:
    """One of the member's keys that spent as much on that day, and ten times as much before it."""
    key = issuing.issue(customer=member.customer, name="k", now=NOW, created_by=member.user).key
    once, all_ = (Decimal(spent), Decimal(charged)), (11 * Decimal(spent), 11 * Decimal(charged))
    sums = {f"{period}_spent": once[0] for period in ("day", "week", "month")} | {"total_spent": all_[0]}
    sums |= {f"{period}_charged": once[1] for period in ("day", "week", "month")} | {"total_charged": all_[1]}
    KeyMeter.objects.filter(pk=key.pk).update(day=day, **sums)
    return key


def test_a_key_knows_whose_it_is_through_every_change_of_its_maker(member):
    key = key_of(member, day=TODAY, spent="1", charged="1")
    operators = issuing.issue(customer=member.customer, name="o", now=NOW).key
    assert KeyMeter.objects.get(pk=key.pk).member_id == member.pk
    assert KeyMeter.objects.get(pk=operators.pk).member_id is None
    member.delete()
    assert KeyMeter.objects.get(pk=key.pk).member_id is None
    again = Membership.objects.create(user=member.user, customer=member.customer, role="developer")
    assert KeyMeter.objects.get(pk=key.pk).member_id == again.pk
    ApiKey.objects.filter(pk=key.pk).update(created_by=None)
    assert KeyMeter.objects.get(pk=key.pk).member_id is None


def test_a_cap_set_in_the_middle_of_a_month_counts_what_was_spent_in_it(member):
    key_of(member, day=TODAY, spent="1", charged="0.75")
    key_of(member, day=TODAY.replace(day=1) - timedelta(days=1), spent="4", charged="4")
    members.set_caps(membership=member, caps={"monthly_limit": Decimal(5)}, now=NOW)
    meter = MemberMeter.objects.get(membership=member)
    assert (meter.day, meter.day_spent, meter.month_spent, meter.total_spent) == (TODAY, 1, 1, 55)
    assert (meter.day_charged, meter.month_charged, meter.total_charged) == (
        Decimal("0.75"),
        Decimal("0.75"),
        Decimal("52.25"),
    )


def test_a_day_that_a_key_was_counted_on_already_does_not_come_back(member):
    """The account's zone was changed to the west, where yesterday still is."""
    key_of(member, day=TODAY + timedelta(days=1), spent="1", charged="1")
    members.set_caps(membership=member, caps={"daily_limit": Decimal(5)}, now=NOW)
    meter = MemberMeter.objects.get(membership=member)
    assert (meter.day, meter.day_spent) == (TODAY + timedelta(days=1), 1)


def test_without_a_cap_there_is_no_meter_and_with_one_again_it_is_counted_anew(member):
    members.set_caps(membership=member, caps={"daily_limit": Decimal(5)}, now=NOW)
    members.set_caps(membership=member, caps={"daily_limit": None}, now=NOW)
    assert not MemberMeter.objects.exists()
    key_of(member, day=TODAY, spent="2", charged="2")
    members.set_caps(membership=member, caps={"total_limit": Decimal(5)}, now=NOW)
    assert MemberMeter.objects.get().day_spent == 2


def test_a_changed_cap_moves_the_versions_of_the_members_keys(member):
    key = key_of(member, day=TODAY, spent="1", charged="1")
    before = KeyMeter.objects.get(pk=key.pk).version
    members.set_caps(membership=member, caps={"weekly_limit": Decimal(5)}, now=NOW)
    assert KeyMeter.objects.get(pk=key.pk).version > before
