"""What refund and invoice requests share here: how one is made, found, shown and taken back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from api.common.authentication import caller
from api.common.base import ApiError, refused, state_conflict
from api.common.idempotency import Claim, run_once
from billing.models import InvoiceRequest, RefundRequest
from billing.requests.steps import RequestError

Row = TypeVar("Row", RefundRequest, InvoiceRequest)


@dataclass(frozen=True, slots=True)
class Requests(Generic[Row]):
    """One kind of request: its name in errors, its rows, a customer's own, how one is shown, and how it is taken back.

    `cancel` gets a row's id and the time; it raises `not_movable` where it is too late.
    """

    name: str
    model: type[Row]
    of_customer: Callable[[Customer], QuerySet[Row]]
    serializer: type[serializers.Serializer[Row]]
    cancel: Callable[[int, datetime], Row]
    not_movable: type[RequestError]

    def listed(self, view: APIView) -> QuerySet[Row]:
        """The caller's own; none for whoever draws the schema."""
        if getattr(view, "swagger_fake_view", False):
            return self.model._default_manager.none()
        return self.of_customer(caller(view.request).customer)

    def find(self, customer: Customer, number: str) -> Row:
        """One of a customer's own; raises 404."""
        row = self.of_customer(customer).filter(number=number[:32]).first()
        if row is None:
            raise ApiError(f"There is no such {self.name} request.", status=404, code="not_found")
        return row

    def shown(self, request: Request, number: str, *, status: int = 200) -> Response:
        """One of the caller's own, as it is now."""
        row = self.find(caller(request).customer, number)
        data: dict[str, Any] = {"data": self.serializer(row, context={"request": request}).data}
        return Response(data, status=status)

    def made(self, request: Request, ask: Callable[[Claim, datetime], Row]) -> Response:
        """What `ask` makes, once for an `Idempotency-Key`."""
        customer, now = caller(request).customer, timezone.now()

        def act(claim: Claim) -> Response:
            try:
                row = ask(claim, now)
            except RequestError as error:
                raise refused(error) from None
            return self.shown(request, row.number, status=201)

        def show(number: str) -> Response:
            return self.shown(request, number, status=201)

        return run_once(request, customer=customer, now=now, act=act, show=show)

    def cancelled(self, request: Request, number: str) -> Response:
        """Take one back, once for an `Idempotency-Key`; raises 404, and 409 where it is too late."""
        customer, now = caller(request).customer, timezone.now()
        row = self.find(customer, number)

        def act(claim: Claim) -> Response:
            try:
                self.cancel(row.pk, now)
            except self.not_movable as error:
                raise state_conflict(row, str(error)) from None
            return self.shown(request, number)

        return run_once(
            request,
            customer=customer,
            now=now,
            act=act,
            show=lambda _number: self.shown(request, number),
            takes_fields=False,
        )
