"""REST: refund requests."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.common.idempotency import Claim
from api.common.known import AmountField, KnownFields
from api.common.requests import Requests
from billing import refunds
from billing.books.money import api_amount
from billing.models import RefundRequest
from core.addresses import request_address
from payments import refunds as refunding
from payments.models import RefundPart


class PartSerializer(serializers.Serializer[RefundPart]):
    """One way that money of the refund goes."""

    topup = serializers.CharField(
        source="topup.number", allow_null=True, default=None, help_text="null: of no single top-up"
    )
    method = serializers.CharField(source="topup.method", allow_null=True, default=None)
    by_bank = serializers.BooleanField(help_text="By bank transfer: the provider no longer pays it back.")
    state = serializers.ChoiceField(RefundPart.State.choices)
    amount = serializers.SerializerMethodField()
    charge_amount = serializers.SerializerMethodField()
    charge_currency = serializers.CharField()

    def get_amount(self, part: RefundPart) -> str:
        return api_amount(part.amount)

    def get_charge_amount(self, part: RefundPart) -> str | None:
        return None if part.charge_amount is None else api_amount(part.charge_amount)


class RefundSerializer(serializers.Serializer[RefundRequest]):
    """A refund request. Amounts are USD, strings with 8 places; `returned_amount` has arrived for sure."""

    id = serializers.CharField(source="number")
    amount = serializers.SerializerMethodField()
    approved_amount = serializers.SerializerMethodField()
    returned_amount = serializers.SerializerMethodField()
    currency = serializers.SerializerMethodField()
    state = serializers.ChoiceField(RefundRequest.State.choices)
    reason = serializers.CharField()
    decision = serializers.CharField(help_text="What support wrote when it decided.")
    question = serializers.CharField(help_text="What support asks; answer it on the refund's page.")
    parts = PartSerializer(many=True)
    due_at = serializers.DateTimeField(help_text="By when support decides.")
    created_at = serializers.DateTimeField()

    def get_amount(self, refund: RefundRequest) -> str:
        return api_amount(refund.amount)

    def get_approved_amount(self, refund: RefundRequest) -> str | None:
        return None if refund.approved is None else api_amount(refund.approved)

    def get_returned_amount(self, refund: RefundRequest) -> str:
        return api_amount(refund.returned)

    def get_currency(self, refund: RefundRequest) -> str:
        return "USD"


class NewRefund(KnownFields, serializers.Serializer[Any]):
    """What POST /v1/refund-requests takes."""

    amount = AmountField(help_text='USD with at most two decimals, such as "20.00".')
    reason = serializers.CharField(max_length=500)


class RefundAnswer(serializers.Serializer[Any]):
    """How one refund request is answered."""

    data = RefundSerializer()  # type: ignore[assignment]


REFUNDS = Requests(
    "refund",
    model=RefundRequest,
    of_customer=refunding.of_customer,
    serializer=RefundSerializer,
    cancel=lambda pk, now: refunds.cancel(refund_id=pk, now=now),
    not_movable=refunds.NotMovable,
)


class RefundListView(generics.ListAPIView[RefundRequest]):
    """Refund requests, newest first; POST asks for one."""

    serializer_class = RefundSerializer

    def get_queryset(self) -> QuerySet[RefundRequest]:
        return REFUNDS.listed(self)

    @extend_schema(operation_id="refund_requests_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="refund_requests_create",
        request=NewRefund,
        responses={201: RefundAnswer},
    )
    def post(self, request: Request) -> Response:
        return REFUNDS.made(request, lambda claim, now: self._ask(request, claim, now=now))

    @staticmethod
    def _ask(request: Request, claim: Claim, *, now: datetime) -> RefundRequest:
        given = NewRefund(data=request.data)
        given.is_valid(raise_exception=True)
        return refunds.ask(
            customer=claim.customer,
            **given.validated_data,
            asked_from=request_address(request._request),
            now=now,
            in_transaction=lambda made: claim.bind(made.number),
        )


class RefundView(APIView):
    """One refund request, with its state now."""

    @extend_schema(operation_id="refund_requests_retrieve", responses={200: RefundAnswer})
    def get(self, request: Request, number: str) -> Response:
        return REFUNDS.shown(request, number)


class RefundCancelView(APIView):
    """Take a request back that support has not decided; the amount is free again."""

    @extend_schema(operation_id="refund_requests_cancel", request=None, responses={200: RefundAnswer})
    def post(self, request: Request, number: str) -> Response:
        return REFUNDS.cancelled(request, number)
