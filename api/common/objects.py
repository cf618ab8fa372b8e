"""What programs are shown of a fact's object: what its GET answers. A new object is a line in `connect`.

A row is read again: what a step left in memory may say the same in another way. The views are imported when they are
needed: a worker that tells of nothing has no use for them.
"""

import json
from collections.abc import Mapping
from typing import Any

from accounts.models import ApiKey
from billing.models import InvoiceRequest, RefundRequest, Wallet
from billing.outbox import objects
from billing.outbox.kinds import Shown
from billing.statements import reading
from payments.models import AutoTopUp, TopUp


def connect() -> None:
    objects.register(Shown.TOPUP, topup)
    objects.register(Shown.REFUND, refund)
    objects.register(Shown.INVOICE, invoice)
    objects.register(Shown.CREDITS, credits)
    objects.register(Shown.KEY, key)
    objects.register(Shown.AUTO_TOPUP, auto_topup)
    objects.register(Shown.STATEMENT, reading.shown)


def as_json(data: Any) -> Mapping[str, Any]:
    """A serializer's data as it goes over the wire."""
    from rest_framework.renderers import JSONRenderer

    shown: Mapping[str, Any] = json.loads(JSONRenderer().render(data))
    return shown


def topup(row: TopUp) -> Mapping[str, Any]:
    from api.topups import TopUpSerializer

    return as_json(TopUpSerializer(TopUp.objects.get(pk=row.pk)).data)


def refund(row: RefundRequest) -> Mapping[str, Any]:
    from api.refunds import RefundSerializer

    return as_json(RefundSerializer(RefundRequest.objects.get(pk=row.pk)).data)


def invoice(row: InvoiceRequest) -> Mapping[str, Any]:
    from api.invoices import InvoiceSerializer

    return as_json(InvoiceSerializer(InvoiceRequest.objects.get(pk=row.pk)).data)


def credits(row: Wallet) -> Mapping[str, Any]:
    from api.balance import shown_credits

    return shown_credits(Wallet.objects.get(pk=row.pk))


def key(row: ApiKey) -> Mapping[str, Any]:
    from api.keys.shown import KeySerializer, rows

    return as_json(KeySerializer(rows().get(pk=row.pk)).data)


def auto_topup(row: AutoTopUp) -> Mapping[str, Any]:
    from api.auto_topup import shown

    return as_json(shown(row.customer, now=row.changed_at))
