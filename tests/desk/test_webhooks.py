"""The desk shows who listens where and what does not arrive; never a secret, nor what may be a password."""

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.staffing import at_desk, in_role
from webhooks.models import Attempt, Delivery, Endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(customer) -> Endpoint:
    endpoint = Endpoint.objects.create(
        customer=customer,
        number="we_1",
        url="https://hook.example/in?token=s3cr3t",
        events=["topup.paid"],
        secret="whsec_s3cr3t",
        failing_since=timezone.now(),
    )
    for number, state, attempts in (("wd_1", "failed", 10), ("wd_2", "waiting", 1), ("wd_3", "delivered", 1)):
        delivery = Delivery.objects.create(
            endpoint=endpoint,
            number=number,
            message_id=f"evt_{number}",
            event="topup.paid",
            body="{}",
            state=state,
            attempts=attempts,
            send_at=timezone.now() if state == "waiting" else None,
        )
    Attempt.objects.create(delivery=delivery, at=timezone.now(), milliseconds=7, status=204)
    return endpoint


@pytest.mark.parametrize("role", ["support", "finance"])
def test_a_customers_page_names_its_endpoints_and_how_many_deliveries_fail(customer, endpoint, role):
    desk = at_desk(in_role(role))
    page = desk.get(reverse("admin:accounts_customer_change", args=[customer.pk])).content.decode()
    for words in ("https://hook.example/in", "failing", "2 deliveries fail"):
        assert words in page
    lists = reverse("admin:webhooks_delivery_changelist")
    failing = desk.get(f"{lists}?endpoint__id__exact={endpoint.pk}&queue=failing").content.decode()
    shown = [
        row.number
        for row in Delivery.objects.order_by("pk")
        if reverse("admin:webhooks_delivery_change", args=[row.pk]) in failing
    ]
    assert shown == ["wd_1", "wd_2"]
    pages = [page, failing, desk.get(lists).content.decode()]
    pages += [
        desk.get(reverse("admin:webhooks_endpoint_changelist")).content.decode(),
        desk.get(reverse("admin:webhooks_endpoint_change", args=[endpoint.pk])).content.decode(),
        desk.get(reverse("admin:webhooks_delivery_change", args=[Delivery.objects.last().pk])).content.decode(),
    ]
    assert "HTTP 204" in pages[-1]
    assert not [text for text in pages if "s3cr3t" in text]
