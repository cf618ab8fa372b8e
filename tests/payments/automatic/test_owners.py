"""Automatic top-up and the owners of an account, who come and go."""

import pytest
from django.utils import timezone

from accounts.models import Membership, User
from accounts.people import team
from billing.models import Event, Mail
from billing.outbox import mail, readers
from payments.automatic import attempts, looking
from payments.models import AutoTopUp, SavedCard
from payments.topups.orders import Result
from tests.payments.automatic.steps import agreed, intents, switched_on, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("how", ["left", "demoted", "switched off by staff"])
def test_it_ends_with_the_owner_who_entered_the_card_whoever_agreed_since(sandbox, customer, how):
    """Who can no longer switch it off is charged no more."""
    first = switched_on(sandbox, customer).agreed_by
    second = User.objects.create_user("grace@example.org", "a rather long one")
    Membership.objects.create(user=second, customer=customer, role="owner")
    agreement = agreed(customer, by=second, amount="21.00")
    topup = looking.begin_if_low(agreement_id=agreement.pk, now=timezone.now())
    mine = Membership.objects.get(user=first, customer=customer)
    if how == "left":
        team.remove(customer=customer, member_id=mine.pk, by=first, now=timezone.now())
    elif how == "demoted":
        team.change_role(customer=customer, member_id=mine.pk, role="developer", by=second, now=timezone.now())
    else:
        User.objects.filter(pk=first.pk).update(is_active=False)
        AutoTopUp.objects.update(look_at=timezone.now())  # else at the next look, within five minutes
    assert attempts.carry_on(topup_id=topup.pk, now=timezone.now()) is Result.PENDING
    assert (work(), intents(sandbox)) == ([], [])
    agreement.refresh_from_db()
    assert (agreement.agreed_by, agreement.state, agreement.off_reason) == (second, "off", "left")
    assert SavedCard.objects.get().state == "leaving"
    assert Event.objects.get(kind="auto_topup.disabled").data["off_reason"] == "left"
    readers.read(mail.READER, now=timezone.now())
    assert "no longer an owner" in Mail.objects.get(subject__contains="Automatic top-up").body
