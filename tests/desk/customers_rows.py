"""What customers set up for themselves, as the desk shows it."""

from datetime import datetime, timedelta
from decimal import Decimal

from accounts.models import Customer, User
from billing.models import CodeBatch, MonthStatement
from billing.statements import closing, reading
from payments.models import AutoTopUp, SavedCard
from webhooks.models import Delivery, Endpoint


def of_customers(customer: Customer, user: User, *, now: datetime) -> None:
    """An endpoint of webhooks with a delivery; a saved card, and what is charged; a closed month, its PDF; codes."""
    terms = {"words": "Hello", "amount": Decimal(1), "count": 1, "uses": 1, "ends_at": now + timedelta(days=1)}
    CodeBatch.objects.create(**terms, needs_second=True, reason="x", proposed_by=user, proposed_at=now)
    endpoint = Endpoint.objects.create(
        customer=customer, number="we_1", url="https://hook.example/", events=["topup.paid"], secret="x"
    )
    Delivery.objects.create(
        endpoint=endpoint, number="wd_1", message_id="evt_1", event="topup.paid", body="{}", send_at=now
    )
    later = now + timedelta(days=30)
    card = SavedCard.objects.create(customer=customer, provider="stripe", number="card_1", expires_at=later)
    money = {"amount": Decimal(20), "threshold": Decimal(5), "ceiling": Decimal(100)}
    agreed = {"consent": "Yes.", "consent_version": "1", "agreed_at": now, "agreed_by": user, "agreed_from": "::1"}
    AutoTopUp.objects.create(customer=customer, card=card, ends_at=later, **money, **agreed)
    assert closing.close_due(now=now + timedelta(days=40)).closed
    month = str(MonthStatement.objects.filter(customer=customer).latest("month"))
    assert reading.pdf(customer, month, locale="en", now=now)
