"""REST: invoice requests."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.common.authentication import caller
from api.common.base import KEY_HEADER, ApiError, amount_text
from api.common.idempotency import Claim
from api.common.requests import Requests
from billing import invoices
from billing.books.money import api_amount
from billing.models import Document, InvoiceRequest
from core.addresses import request_address

OPTIONAL = (
    *("tax_id", "email", "mailing_address", "currency", "invoice_type", "buyer_kind", "country", "billing_address"),
    *("remark", "delivery"),
)


class DocumentSerializer(serializers.Serializer[Document]):
    """A document that was made: `amount` is negative on a credit note. The file is on the invoice's page."""

    number = serializers.CharField()
    kind = serializers.ChoiceField(Document.Kind.choices)
    amount = serializers.SerializerMethodField()
    issued_at = serializers.DateTimeField()

    def get_amount(self, document: Document) -> str:
        return api_amount(document.gross)


class InvoiceSerializer(serializers.Serializer[InvoiceRequest]):
    """An invoice request. Amounts are strings with 8 places, in `currency`, the one charged."""

    id = serializers.CharField(source="number")
    state = serializers.ChoiceField(InvoiceRequest.State.choices)
    amount = serializers.SerializerMethodField()
    credited_amount = serializers.SerializerMethodField(help_text="What credit notes have taken back.")
    currency = serializers.ChoiceField(choices=["USD", "CNY"])
    invoice_type = serializers.ChoiceField(InvoiceRequest.Type.choices)
    buyer_kind = serializers.ChoiceField(InvoiceRequest.BuyerKind.choices)
    company_name = serializers.CharField()
    tax_id = serializers.CharField()
    country = serializers.CharField()
    billing_address = serializers.CharField()
    delivery = serializers.ChoiceField(InvoiceRequest.Delivery.choices)
    email = serializers.CharField()
    mailing_address = serializers.CharField()
    remark = serializers.CharField()
    decision = serializers.CharField(help_text="What support wrote when it declined.")
    carrier = serializers.CharField()
    tracking = serializers.CharField()
    documents = DocumentSerializer(many=True)
    due_at = serializers.DateTimeField(help_text="By when it is made.")
    created_at = serializers.DateTimeField()

    def get_amount(self, invoice: InvoiceRequest) -> str:
        return api_amount(invoice.amount)

    def get_credited_amount(self, invoice: InvoiceRequest) -> str:
        return api_amount(invoice.credited)


class NewInvoice(serializers.Serializer[Any]):
    """What POST /v1/invoice-requests takes."""

    amount = serializers.CharField(help_text='At most two decimals, such as "20.00".')
    company_name = serializers.CharField(max_length=200)
    tax_id = serializers.CharField(max_length=40, required=False, help_text="A company has one, a person may.")
    tax_id_confirmed = serializers.BooleanField(
        required=False, help_text="It was looked at and is right, though its check digit does not fit."
    )
    delivery = serializers.ChoiceField(InvoiceRequest.Delivery.choices, required=False)
    email = serializers.CharField(required=False)
    mailing_address = serializers.CharField(required=False)
    currency = serializers.ChoiceField(
        choices=["USD", "CNY"], required=False, help_text="Default: the only currency paid in."
    )
    invoice_type = serializers.ChoiceField(InvoiceRequest.Type.choices, required=False)
    buyer_kind = serializers.ChoiceField(InvoiceRequest.BuyerKind.choices, required=False)
    country = serializers.CharField(required=False, help_text="Two letters.")
    billing_address = serializers.CharField(required=False)
    remark = serializers.CharField(required=False)


class InvoiceAnswer(serializers.Serializer[Any]):
    """How one invoice request is answered."""

    data = InvoiceSerializer()  # type: ignore[assignment]


INVOICES = Requests(
    "invoice",
    model=InvoiceRequest,
    of_customer=invoices.of_customer,
    serializer=InvoiceSerializer,
    cancel=lambda pk, now: invoices.cancel(request_id=pk, now=now),
    not_movable=invoices.NotMovable,
)


class InvoiceListView(generics.ListAPIView[InvoiceRequest]):
    """Invoice requests, newest first; POST asks for one."""

    serializer_class = InvoiceSerializer

    def get_queryset(self) -> QuerySet[InvoiceRequest]:
        return INVOICES.listed(self)

    @extend_schema(operation_id="invoice_requests_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="invoice_requests_create",
        parameters=[KEY_HEADER],
        request=NewInvoice,
        responses={201: InvoiceAnswer},
    )
    def post(self, request: Request) -> Response:
        return INVOICES.made(request, lambda claim, now: _ask(request, claim, now=now))


class InvoiceView(APIView):
    """One invoice request, with its state now."""

    @extend_schema(operation_id="invoice_requests_retrieve", responses={200: InvoiceAnswer})
    def get(self, request: Request, number: str) -> Response:
        return INVOICES.shown(caller(request).customer, number)


class InvoiceCancelView(APIView):
    """Take a request back of which no document was made."""

    @extend_schema(
        operation_id="invoice_requests_cancel", parameters=[KEY_HEADER], request=None, responses={200: InvoiceAnswer}
    )
    def post(self, request: Request, number: str) -> Response:
        return INVOICES.cancelled(request, number)


def _ask(request: Request, claim: Claim, *, now: datetime) -> InvoiceRequest:
    data = request.data if isinstance(request.data, dict) else {}
    texts = {name: data[name] for name in OPTIONAL if data.get(name) is not None}
    texts["company_name"] = data.get("company_name")
    for name, value in texts.items():
        if not isinstance(value, str) or "\x00" in value:
            raise ApiError(f"`{name}` must be a text.", status=400, code="validation_error", param=name)
    confirmed = data.get("tax_id_confirmed", False)
    if not isinstance(confirmed, bool):
        raise ApiError(
            "`tax_id_confirmed` must be true or false.", status=400, code="validation_error", param="tax_id_confirmed"
        )
    return invoices.ask(
        customer=claim.customer,
        tax_id_confirmed=confirmed,
        amount=amount_text(data),
        **texts,
        asked_from=request_address(request._request),
        now=now,
        in_transaction=lambda made: claim.bind(made.number),
    )
