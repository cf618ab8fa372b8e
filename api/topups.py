"""REST: top-ups."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from api.common.authentication import caller
from api.common.base import AnyAccepted, ApiError, state_conflict
from api.common.idempotency import Claim, run_once
from api.common.known import AmountField, KnownFields
from billing.books.money import ZERO, api_amount
from core.addresses import request_address
from core.web.downloads import as_file
from payments.models import Method, TopUp
from payments.topups import closing, opening, orders, polling, quotes, receipts

CODES = {403: "account_suspended", 429: "rate_limit_exceeded", 502: "provider_error", 503: "provider_unavailable"}
SHOWN_STATES = ("open", "paid", "expired", "failed", "partly_refunded", "refunded", "disputed")


class TopUpSerializer(serializers.Serializer[TopUp]):
    """A top-up in the API's shape. Amounts are strings with 8 places."""

    id = serializers.CharField(source="number")
    amount = serializers.SerializerMethodField()
    currency = serializers.SerializerMethodField()
    method = serializers.ChoiceField(Method.choices)
    charge_amount = serializers.SerializerMethodField()
    charge_currency = serializers.CharField()
    fee_amount = serializers.SerializerMethodField()
    tax_amount = serializers.SerializerMethodField()
    refunded_amount = serializers.SerializerMethodField()
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
        return api_amount(topup.amount)

    def get_charge_amount(self, topup: TopUp) -> str:
        return api_amount(topup.charge_amount)

    def get_fee_amount(self, topup: TopUp) -> str:
        return api_amount(topup.fee_amount)

    def get_tax_amount(self, topup: TopUp) -> str:
        return api_amount(ZERO)

    def get_refunded_amount(self, topup: TopUp) -> str:
        return api_amount(topup.refunded)

    def get_fx_rate(self, topup: TopUp) -> str | None:
        return _rate(topup.fx_rate)

    def get_checkout_url(self, topup: TopUp) -> str | None:
        return topup.checkout_url or None

    def get_qr_code(self, topup: TopUp) -> str | None:
        return topup.qr_code or None


class NewTopUp(KnownFields, serializers.Serializer[Any]):
    """What POST /v1/topups takes."""

    amount = AmountField(help_text='USD with at most two decimals, such as "20.00".')
    method = serializers.ChoiceField(Method.choices)


class TopUpAnswer(serializers.Serializer[Any]):
    """How one top-up is answered."""

    data = TopUpSerializer()  # type: ignore[assignment]


class QuoteSerializer(serializers.Serializer[Any]):
    """What a top-up would cost now, without an order. Amounts are strings with 8 places."""

    amount = serializers.CharField()
    currency = serializers.CharField()
    method = serializers.ChoiceField(Method.choices)
    charge_amount = serializers.CharField(help_text="All that is paid, in `charge_currency`.")
    charge_currency = serializers.CharField()
    fee_amount = serializers.CharField(help_text="The fee within `charge_amount`.")
    tax_amount = serializers.CharField(help_text="The tax within `charge_amount`.")
    fx_rate = serializers.CharField(allow_null=True)


class QuoteAnswer(serializers.Serializer[Any]):
    """How a quote is answered."""

    data = QuoteSerializer()  # type: ignore[assignment]


class QuoteView(APIView):
    """What a top-up would cost, before it is opened."""

    @extend_schema(
        operation_id="topups_quote",
        parameters=[OpenApiParameter("amount", required=True), OpenApiParameter("method", required=True)],
        responses={200: QuoteAnswer},
    )
    def get(self, request: Request) -> Response:
        method = request.query_params.get("method", "")
        try:
            amount = quotes.checked_amount(request.query_params.get("amount", ""), method=method)
            quoted = quotes.quote(amount=amount, method=quotes.checked_method(method), now=timezone.now())
        except quotes.TopUpError as error:
            raise _api_error(error) from None
        data = {
            "amount": api_amount(amount),
            "currency": "USD",
            "method": method,
            "charge_amount": api_amount(quoted.charge),
            "charge_currency": quoted.currency,
            "fee_amount": api_amount(quoted.fee),
            "tax_amount": api_amount(ZERO),
            "fx_rate": _rate(quoted.rate),
        }
        return Response({"data": data})


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

    @extend_schema(operation_id="topups_create", request=NewTopUp, responses={201: TopUpAnswer})
    def post(self, request: Request) -> Response:
        customer, now = caller(request).customer, timezone.now()
        return run_once(
            request,
            customer=customer,
            now=now,
            act=lambda claim: self._open(request, claim, now=now),
            show=lambda number: self._show(TopUp.objects.get(customer=customer, number=number), now=now),
        )

    @staticmethod
    def _open(request: Request, claim: Claim, *, now: datetime) -> Response:
        given = NewTopUp(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            topup = opening.open_topup(
                customer=claim.customer,
                **given.validated_data,
                now=now,
                address=request_address(request._request),
                in_transaction=claim.bind,
            )
            orders.expect_checkout(topup=topup, now=now)
        except orders.TopUpError as error:
            raise _api_error(error) from None
        return Response(_data(topup), status=201)

    @staticmethod
    def _show(topup: TopUp, *, now: datetime) -> Response | None:
        """What became of an order whose first request died; None if it came to nothing before it could be paid."""
        try:
            if topup.state == TopUp.State.OPEN and not topup.has_checkout:
                orders.start_checkout(topup=topup, now=now)
            orders.expect_checkout(topup=topup, now=now)
        except orders.TopUpError:
            return None
        return Response(_data(topup), status=201)


class TopUpView(APIView):
    """One top-up, with its state now."""

    @extend_schema(operation_id="topups_retrieve", responses={200: TopUpAnswer})
    def get(self, request: Request, number: str) -> Response:
        topup = _find(caller(request).customer, number)
        polling.watch(topup=topup, now=timezone.now())
        return Response(_data(topup))


class CancelView(APIView):
    """Give an unpaid top-up up: it is closed at its provider. Should it be paid all the same, it is credited."""

    @extend_schema(operation_id="topups_cancel", request=None, responses={200: TopUpAnswer})
    def post(self, request: Request, number: str) -> Response:
        customer, now = caller(request).customer, timezone.now()
        topup = _find(customer, number)

        def act(claim: Claim) -> Response:
            try:
                result = closing.cancel(topup_id=topup.pk, now=now)
            except orders.TopUpNotMovable:
                words = (
                    "This top-up is not open." if topup.automatic_id is None else "An automatic one is not cancelled."
                )
                raise state_conflict(topup, words) from None
            if result in (orders.Result.CREDITED, orders.Result.REPEATED):
                raise state_conflict(topup, "This top-up was paid before it could be closed.")
            if result is orders.Result.UNKNOWN:
                words = "The payment provider does not answer. The top-up is closed as soon as it does."
                raise ApiError(words, status=503, code="provider_unavailable")
            return Response(_data(_find(customer, number)))

        return run_once(
            request,
            customer=customer,
            now=now,
            act=act,
            show=lambda _number: Response(_data(_find(customer, number))),
            takes_fields=False,
        )


class ReceiptView(APIView):
    """The receipt of a credited top-up as a PDF, in the language of the order."""

    content_negotiation_class = AnyAccepted

    @extend_schema(operation_id="topups_receipt", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, number: str) -> HttpResponse:
        topup = TopUp.objects.filter(customer=caller(request).customer, number=number[:32]).first()
        paper = receipts.receipt(topup, now=timezone.now()) if topup is not None else None
        if paper is None:
            raise ApiError("There is no such receipt.", status=404, code="not_found")
        return as_file(name=receipts.file_name(paper.number), kind="application/pdf", content=paper.content)


def _find(customer: Customer, number: str) -> TopUp:
    topup = TopUp.objects.filter(customer=customer, number=number[:32]).first()
    if topup is None:
        raise ApiError("There is no such top-up.", status=404, code="not_found")
    return topup


def _api_error(error: orders.TopUpError) -> ApiError:
    return ApiError(
        str(error),
        status=error.status,
        code=CODES.get(error.status, "validation_error"),
        param=error.field or None,
        retry_after=error.retry_after,
    )


def _rate(rate: Decimal | None) -> str | None:
    return None if rate is None else f"{rate.normalize():f}"


def _data(topup: TopUp) -> dict[str, Any]:
    return {"data": TopUpSerializer(topup).data}
