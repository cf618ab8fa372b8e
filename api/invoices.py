"""REST: invoice requests."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Right, rights_of
from api.common.authentication import caller
from api.common.idempotency import Claim
from api.common.known import AmountField, KnownFields
from api.common.requests import Requests
from billing import invoices
from billing.books.money import api_amount
from billing.models import Document, InvoiceRequest
from core.addresses import request_address

MOST_PAYMENTS = 1000
BUYER = ("company_name", "tax_id", "country", "billing_address", "email", "mailing_address", "remark")


class DocumentSerializer(serializers.Serializer[Document]):
    """A document that was made: `amount` is negative on a credit note. The file is on the invoice's page."""

    number = serializers.CharField()
    kind = serializers.ChoiceField(Document.Kind.choices)
    amount = serializers.SerializerMethodField()
    issued_at = serializers.DateTimeField()

    def get_amount(self, document: Document) -> str:
        return api_amount(document.gross)


class InvoiceSerializer(serializers.Serializer[InvoiceRequest]):
    """An invoice request. Amounts are strings with 8 places, in `currency`, the one charged.

    Whom it is for is the owners' to read: empty for the key of another member.
    """

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

    def to_representation(self, instance: InvoiceRequest) -> dict[str, Any]:
        said = super().to_representation(instance)
        request = self.context.get("request")
        if request is not None and Right.INVOICES not in rights_of(caller(request).role):
            said |= dict.fromkeys(BUYER, "")
        return said


def _text(words: str = "", **options: Any) -> serializers.CharField:
    return serializers.CharField(required=False, allow_null=True, allow_blank=True, help_text=words, **options)


def _choice(choices: Any, words: str = "") -> serializers.ChoiceField:
    return serializers.ChoiceField(choices, required=False, allow_null=True, allow_blank=True, help_text=words)


class NewInvoice(KnownFields, serializers.Serializer[Any]):
    """What POST /v1/invoice-requests takes; a text that is null is one that is left out."""

    amount = AmountField(
        required=False, help_text='At most two decimals, such as "20.00"; left out, all that is left of `payments`.'
    )
    payments = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        max_length=MOST_PAYMENTS,
        help_text="Ids of top-ups that it is over alone; the oldest first unless named.",
    )
    company_name = serializers.CharField(max_length=200, allow_blank=True)  # the domain tells it with all other faults
    tax_id = _text("A company has one, a person may.", max_length=40)
    tax_id_confirmed = serializers.BooleanField(
        required=False, help_text="It was looked at and is right, though its check digit does not fit."
    )
    delivery = _choice(InvoiceRequest.Delivery.choices)
    email = _text("Where it is sent, for `email`.")
    mailing_address = _text("Where it is sent, for `post`.")
    currency = _choice(["USD", "CNY"], "Default: the only currency paid in.")
    invoice_type = _choice(InvoiceRequest.Type.choices)
    buyer_kind = _choice(InvoiceRequest.BuyerKind.choices)
    country = _text("Two letters.")
    billing_address = _text()
    remark = _text()


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
        request=NewInvoice,
        responses={201: InvoiceAnswer},
    )
    def post(self, request: Request) -> Response:
        return INVOICES.made(request, lambda claim, now: _ask(request, claim, now=now))


class InvoiceView(APIView):
    """One invoice request, with its state now."""

    @extend_schema(operation_id="invoice_requests_retrieve", responses={200: InvoiceAnswer})
    def get(self, request: Request, number: str) -> Response:
        return INVOICES.shown(request, number)


class InvoiceCancelView(APIView):
    """Take a request back of which no document was made."""

    @extend_schema(operation_id="invoice_requests_cancel", request=None, responses={200: InvoiceAnswer})
    def post(self, request: Request, number: str) -> Response:
        return INVOICES.cancelled(request, number)


def _ask(request: Request, claim: Claim, *, now: datetime) -> InvoiceRequest:
    given = NewInvoice(data=request.data)
    given.is_valid(raise_exception=True)
    fields = {name: value for name, value in given.validated_data.items() if value is not None}
    return invoices.ask(
        customer=claim.customer,
        **fields,
        asked_from=request_address(request._request),
        now=now,
        in_transaction=lambda made: claim.bind(made.number),
    )
