"""What stops spending from the next request on: a suspension, a lost right, a lost scope."""

from django.urls import reverse

from accounts.keys import issuing
from accounts.models import ApiKey, Membership, StaffAction, User
from accounts.roles import Role
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


def test_a_key_whose_maker_lost_the_right_calls_no_model_from_the_next_request(gateway, customer, user, now):
    issued = issuing.issue(customer=customer, name="dev", now=now, created_by=user)
    headers = {"Authorization": f"Bearer {issued.text}"}
    members = Membership.objects.filter(user=user)
    Membership.objects.create(user=User.objects.create_user("eve@example.org"), customer=customer)
    expected = {Role.OWNER: 200, Role.VIEWER: 403, Role.DEVELOPER: 200}
    for role, status in expected.items():
        members.update(role=role)
        assert gateway.chat(headers=headers).status_code == status, role
    members.delete()
    refused = gateway.chat(headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")


def test_a_key_without_the_scope_of_inference_calls_no_model_from_the_next_request(gateway):
    key = ApiKey.objects.get()
    assert gateway.chat().status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(scopes=["read"])
    refused = gateway.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")


def test_what_a_key_is_allowed_since_it_was_refused_counts_from_the_next_request(gateway, customer, now):
    issued = issuing.issue(customer=customer, name="narrow", now=now, allowed_models=["openai/n"], allowed_ips=["::2"])
    headers = {"Authorization": f"Bearer {issued.text}"}
    mine = ApiKey.objects.filter(pk=issued.key.pk)
    assert gateway.chat(headers=headers).json()["error"]["code"] == "ip_not_allowed"
    mine.update(allowed_ips=[])
    assert gateway.chat(headers=headers).json()["error"]["code"] == "model_not_allowed"
    mine.update(allowed_models=["m"])
    assert gateway.chat(headers=headers).status_code == 200
