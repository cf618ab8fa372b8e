"""A suspension at the staff desk stops spending from the next request on."""

from django.urls import reverse

from accounts.models import StaffAction
from billing.models import Transfer
from tests.staffing import at_desk, in_role


def test_a_customer_suspended_at_the_desk_spends_nothing_until_it_is_lifted(gateway, customer):
    desk = at_desk(in_role("support"))
    assert gateway.chat().status_code == 200, "the gateway knows the key by now"
    answer = desk.post(reverse("admin:accounts_customer_suspend", args=[customer.pk]), {"reason": "A chargeback."})
    assert answer.status_code == 302
    before = Transfer.objects.count()
    for _ in range(3):
        refused = gateway.chat()
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "account_suspended")
    assert Transfer.objects.count() == before
    desk.post(reverse("admin:accounts_customer_lift_suspension", args=[customer.pk]))
    assert gateway.chat().status_code == 200
    assert list(StaffAction.objects.order_by("pk").values_list("action", flat=True)) == ["suspend", "lift_suspension"]
