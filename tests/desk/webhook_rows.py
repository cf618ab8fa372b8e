"""An endpoint and a delivery, as the desk shows them."""

from datetime import datetime

from accounts.models import Customer
from webhooks.models import Delivery, Endpoint


def of_webhooks(customer: Customer, *, now: datetime) -> None:
    endpoint = Endpoint.objects.create(
        customer=customer, number="we_1", url="https://hook.example/", events=["topup.paid"], secret="x"
    )
    Delivery.objects.create(
        endpoint=endpoint, number="wd_1", message_id="evt_1", event="topup.paid", body="{}", send_at=now
    )
