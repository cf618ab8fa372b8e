"""REST: top-ups."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller, request_address
from accounts.idempotency import Claim, run_once
from billing.money import wire
from chuizi.api import KEY_HEADER, ApiError, amount_text
from payments import polling, topups
from payments.models import Method, TopUp

SHOWN_STATES = ("open", "paid", "expired", "failed", "partly_refunded", "refunded", "disputed")


class TopUpSerializer(serializers.Serializer[TopUp]):
    """A top-up in the contract's shape. Amounts are strings with 8 places."""

    id = serializers.CharField(source="number")
    amount = serializers.SerializerMethodField()
    currency = serializers.SerializerMethodField()
    method = serializers.ChoiceField(Method.choices)
    charge_amount = serializers.SerializerMethodField()
    charge_currency = serializers.CharField()
    fx_rate = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()
    checkout_url = serializers.SerializerMethodField()
    qr_code = serializers.SerializerMethodField()
    expires_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()

    def get_currency(self, topup: TopUp) -> str:
        return "USD"

    @extend_schema_field(serializers.ChoiceField(SHOWN_STATES))
    def get_state(self, topup: TopUp) -> str:
        return topup.shown_state

    def get_amount(self, topup: TopUp) -> str:
        return wire(topup.amount)

    def get_charge_amount(self, topup: TopUp) -> str:
        return wire(topup.charge_amount)

    def get_fx_rate(self, topup: TopUp) -> str | None:
        return None if topup.fx_rate is None else f"{topup.fx_rate.normalize():f}"

    def get_checkout_url(self, topup: TopUp) -> str | None:
        return topup.checkout_url or None

    def get_qr_code(self, topup: TopUp) -> str | None:
        return topup.qr_code or None


class NewTopUp(serializers.Serializer[Any]):
    """What POST /v1/topups takes."""

    amount = serializers.CharField(help_text='USD with at most two decimals, such as "20.00".')
    method = serializers.ChoiceField(Method.choices)


class TopUpAnswer(serializers.Serializer[Any]):
    """How one top-up is answered."""

    data = TopUpSerializer()  # type: ignore[assignment]


class TopUpListView(generics.ListAPIView[TopUp]):
    """Top-ups, newest first; POST opens one."""

    serializer_class = TopUpSerializer

    def get_queryset(self) -> QuerySet[TopUp]:
        if getattr(self, "swagger_fake_view", False):
            return TopUp.objects.none()
        return TopUp.objects.filter(customer=caller(self.request).customer)

    @extend_schema(operation_id="topups_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="topups_create", parameters=[KEY_HEADER], request=NewTopUp, responses={201: TopUpAnswer}
    )
    def post(self, request: Request) -> Response:
        customer, now = caller(request).customer, timezone.now()
        return run_once(
            request,
            customer=customer,
            now=now,
            act=lambda claim: self._open(request, claim, now=now),
            show=lambda number: Response(_data(TopUp.objects.get(customer=customer, number=number)), status=201),
        )

    @staticmethod
    def _open(request: Request, claim: Claim, *, now: datetime) -> Response:
        data = request.data if isinstance(request.data, dict) else {}
        amount = amount_text(data)
        if caller(request).customer.is_suspended:
            raise ApiError("This account is suspended. Write to support.", status=403, code="account_suspended")
        try:
            topup = topups.open_topup(
                customer=claim.customer,
                amount=amount,
                method=str(data.get("method")),
                now=now,
                address=request_address(request._request),
                in_transaction=claim.bind,
            )
        except topups.TopUpError as error:
            code = {429: "rate_limit_exceeded", 502: "provider_error"}.get(error.status, "validation_error")
            raise ApiError(
                str(error), status=error.status, code=code, param=error.field, retry_after=error.retry_after
            ) from None
        return Response(_data(topup), status=201)


class TopUpView(APIView):
    """One top-up, with its state now."""

    @extend_schema(operation_id="topups_retrieve", responses={200: TopUpAnswer})
    def get(self, request: Request, number: str) -> Response:
        topup = TopUp.objects.filter(customer=caller(request).customer, number=number[:32]).first()
        if topup is None:
            raise ApiError("There is no such top-up.", status=404, code="not_found")
        polling.watch(topup=topup, now=timezone.now())
        return Response(_data(topup))


def _data(topup: TopUp) -> dict[str, Any]:
    return {"data": TopUpSerializer(topup).data}
