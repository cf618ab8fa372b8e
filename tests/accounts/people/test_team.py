"""Members: their roles, their end, and what it ends."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.keys import issuing
from accounts.models import ApiKey, Customer, KeyMeter, Membership, User
from accounts.people import team
from accounts.people.team import Conflict, NotAllowed, TeamError
from accounts.roles import ALL_SCOPES
from tests.conftest import NOW

WEEK = timedelta(days=7)
BY_STAFF = ("decided_by", "proposed_by", "entered_by", "issued_by", "write_off_by", "written_off_by")


@pytest.fixture
def developer(make_person, customer):
    return make_person("dev@example.org", customer=customer)


@pytest.fixture
def theirs(developer, customer):
    return issuing.issue(customer=customer, name="ci", now=NOW, created_by=developer)


def member_of(user) -> Membership:
    return Membership.objects.get(user=user)


def remove(member, by, **given):
    return team.remove(customer=member.customer, member_id=member.pk, by=by, now=NOW, **given)


def change(member, role, by):
    return team.change_role(customer=member.customer, member_id=member.pk, role=role, by=by, now=NOW)


def test_the_last_owner_neither_steps_back_nor_leaves(owner, developer):
    own = member_of(owner)
    with pytest.raises(Conflict):
        change(own, "developer", owner)
    with pytest.raises(Conflict):
        remove(own, owner)
    change(member_of(developer), "owner", owner)
    assert change(own, "developer", owner).role == "developer"


def test_the_database_refuses_an_account_of_members_without_an_owner(owner, developer):
    rows = Membership.objects.filter(user=owner)
    for write in (lambda: rows.update(role="viewer"), lambda: rows._raw_delete("default")):
        point = transaction.savepoint()
        write()
        with pytest.raises(IntegrityError, match="at least one owner"):
            connection.check_constraints()
        transaction.savepoint_rollback(point)


@pytest.mark.parametrize("role", ["developer", "viewer"])
def test_who_is_no_owner_changes_nobody_but_may_leave(owner, developer, make_person, customer, role):
    person = make_person("eve@example.org", customer=customer, role=role)
    with pytest.raises(NotAllowed):
        change(member_of(person), "owner", person)
    with pytest.raises(NotAllowed):
        remove(member_of(developer), person)
    with pytest.raises(NotAllowed):
        team.rename(customer=customer, name="Mine", by=person)
    remove(member_of(person), person)
    assert not Membership.objects.filter(user=person).exists()


def test_another_accounts_member_is_not_there(owner, make_customer, make_person):
    other = make_customer(name="Eve")
    stranger = make_person("eve@example.org", customer=other, role="owner")
    with pytest.raises(Conflict):
        team.remove(customer=member_of(owner).customer, member_id=member_of(stranger).pk, by=owner, now=NOW)


def test_a_removed_members_keys_end_and_those_of_others_and_elsewhere_do_not(
    owner, developer, theirs, customer, make_customer
):
    kept = issuing.issue(customer=customer, name="owner's", now=NOW, created_by=owner)
    elsewhere = make_customer(name="Own")
    Membership.objects.create(user=developer, customer=elsewhere)
    own = issuing.issue(customer=elsewhere, name="own", now=NOW, created_by=developer)
    remove(Membership.objects.get(user=developer, customer=customer), owner)
    assert [issuing.find(one.text).deleted_at for one in (theirs, kept, own)] == [NOW, None, None]


def test_a_key_lives_on_under_another_member_for_a_week_at_most(owner, developer, theirs, customer):
    soon = issuing.issue(customer=customer, name="s", now=NOW, created_by=developer, expires_at=NOW + timedelta(days=1))
    ended = issuing.issue(customer=customer, name="e", now=NOW, created_by=developer)
    remove(member_of(developer), owner, keep=[theirs.key.pk, soon.key.pk], under=member_of(owner).pk)
    for one, end in ((theirs, NOW + WEEK), (soon, NOW + timedelta(days=1))):
        key = issuing.find(one.text)
        assert (key.is_active, key.created_by, key.known_to) == (True, owner, developer)
        assert (key.rotate_by, key.expires_at) == (end, end)
    assert not issuing.find(ended.text).is_active
    with pytest.raises(IntegrityError, match="key_known_to_others_ends"), transaction.atomic():
        ApiKey.objects.filter(pk=theirs.key.pk).update(expires_at=None)
    with pytest.raises(IntegrityError, match="key_known_to_others_ends"), transaction.atomic():
        ApiKey.objects.filter(pk=theirs.key.pk).update(expires_at=NOW + WEEK + timedelta(seconds=1))


@pytest.mark.parametrize("expires_at", [None, NOW + 30 * WEEK])
def test_a_new_text_is_known_to_nobody_who_left_and_expires_when_the_key_would(owner, developer, customer, expires_at):
    made = issuing.issue(customer=customer, name="ci", now=NOW, created_by=developer, expires_at=expires_at)
    remove(member_of(developer), owner, keep=[made.key.pk], under=member_of(owner).pk)
    ApiKey.objects.filter(pk=made.key.pk).update(name="renamed")
    assert ApiKey.objects.get().known_to == developer
    ApiKey.objects.filter(pk=made.key.pk).update(sha256=issuing.digest(issuing.new_text()))
    key = ApiKey.objects.get()
    assert (key.known_to, key.rotate_by, key.own_expiry, key.expires_at) == (None, None, None, expires_at)


def test_a_key_that_lives_on_calls_models_and_reads_alone(owner, developer, customer):
    """Who left would give it a new text of their own, make keys, or invite themselves."""
    every = issuing.issue(customer=customer, name="e", now=NOW, created_by=developer, scopes=ALL_SCOPES)
    keys = issuing.issue(customer=customer, name="k", now=NOW, created_by=developer, scopes=["keys"])
    with pytest.raises(TeamError) as refusal:
        remove(member_of(developer), owner, keep=[every.key.pk, keys.key.pk], under=member_of(owner).pk)
    assert refusal.value.field == "keep"
    remove(member_of(developer), owner, keep=[every.key.pk], under=member_of(owner).pk)
    assert issuing.find(every.text).scopes == ["inference", "read"]


def test_no_key_lives_on_under_who_may_have_none_or_is_leaving(owner, developer, theirs, make_person, customer):
    viewer = make_person("v@example.org", customer=customer, role="viewer")
    for under in (member_of(viewer).pk, member_of(developer).pk, None):
        with pytest.raises(TeamError) as refusal:
            remove(member_of(developer), owner, keep=[theirs.key.pk], under=under)
        assert refusal.value.field == "under"
    other = issuing.issue(customer=customer, name="o", now=NOW, created_by=owner)
    with pytest.raises(Conflict):
        remove(member_of(developer), owner, keep=[other.key.pk], under=member_of(owner).pk)
    with pytest.raises(NotAllowed):
        remove(member_of(developer), developer, keep=[theirs.key.pk], under=member_of(owner).pk)
    assert issuing.find(theirs.text).is_active


def test_a_role_counts_for_a_members_keys_at_once(owner, developer, theirs):
    before = theirs.key.meter.version
    change(member_of(developer), "viewer", owner)
    theirs.key.meter.refresh_from_db()
    assert theirs.key.meter.version > before
    assert issuing.role_behind(issuing.find(theirs.text)) == "viewer"


def test_an_accounts_name_is_one_line_of_what_can_be_seen(owner, customer):
    assert team.rename(customer=customer, name="  Acme\n\u202e Inc.\x00 ", by=owner) == "Acme Inc."
    assert len(team.rename(customer=customer, name="x" * 200, by=owner)) == 60
    with pytest.raises(TeamError):
        team.rename(customer=customer, name=" \u200b ", by=owner)


def test_a_list_of_members_says_who_has_keys_and_was_seen(owner, developer, theirs, customer):
    issuing.issue(customer=customer, name="k", now=NOW, created_by=developer)
    owner.last_login = NOW
    owner.save()
    rows = {one.user: (one.keys_count, one.seen_at) for one in team.members(customer)}
    assert rows == {owner: (0, NOW), developer: (2, None)}


def is_waited_for() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0] > 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_members_end_locks_meters_in_the_order_of_admission(owner, developer, customer, is_kept):
    keys = [issuing.issue(customer=customer, name=name, now=NOW, created_by=developer).key.pk for name in "abcd"]
    under = member_of(owner).pk

    def end():
        try:
            remove(member_of(developer), owner, keep=keys[1:] if is_kept else (), under=under)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            meters = KeyMeter.objects.select_for_update(no_key=True, nowait=True).order_by("pk")
            assert meters.get(pk=keys[0])
            ending = pool.submit(end)
            deadline = time.monotonic() + 60
            while not is_waited_for() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(meters.filter(pk__in=keys[1:])) == 3, "nobody waits for us who has what we want"
        ending.result(60)
    assert not Membership.objects.filter(user=developer).exists()


def test_the_wallet_is_locked_before_the_account_and_its_meters(owner, developer, theirs):
    with CaptureQueriesContext(connection) as asked:
        remove(member_of(developer), owner, keep=[theirs.key.pk], under=member_of(owner).pk)
    locks = [query["sql"] for query in asked if "FOR NO KEY UPDATE" in query["sql"]]
    tables = [re.search(r'FROM "(\w+)"', sql)[1] for sql in locks]
    assert tables[:4] == ["billing_wallet", "accounts_customer", "accounts_apikey", "accounts_keymeter"]


DECIDED = {
    # What a member makes for an account, and what becomes of it when they leave: docs/people.md, "What a member made".
    "accounts.ApiKey.created_by": "ends",
    "accounts.ApiKey.known_to": "ends",
    "accounts.Invitation.invited_by": "is revoked",
    "accounts.Invitation.ended_by": "stays",
    "accounts.Membership.user": "ends",
    "accounts.StaffAction.user": "stays",
    "billing.AlertSettings.changed_by": "stays",
    "billing.Buyer.changed_by": "stays",
    "billing.CodeUse.used_by": "stays",
    "billing.InvoiceRequest.asked_by": "stays",
    "billing.RefundRequest.asked_by": "stays",
    "payments.AutoTopUp.agreed_by": "ends",
    "payments.TopUp.created_by": "stays",
    "proxy.Generation.maker": "stays",
    "webhooks.Endpoint.created_by": "stays",
    "webhooks.Endpoint.shown_to": "stays, and its secret is rotated or it ends",
    "webhooks.Endpoint.known_to": "stays, and its secret is rotated or it ends",
}


def test_what_becomes_of_each_thing_that_a_member_makes_is_decided(repository):
    made = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if any(field.related_model is Customer for field in model._meta.fields)
        for field in model._meta.fields
        if field.related_model is User
    }
    by_staff = {name for name in made if name.rpartition(".")[2] in BY_STAFF}
    assert made - by_staff == set(DECIDED)
    assert "## What a member made" in (repository / "docs/people.md").read_text()
