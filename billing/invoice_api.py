"""REST: invoice requests."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import caller
from accounts.idempotency import Claim, run_once
from accounts.models import Customer
from billing import invoices
from billing.models import Document, InvoiceRequest
from billing.money import wire
from chuizi.api import KEY_HEADER, ApiError, amount_text, refused

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
        return wire(document.gross)


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
        return wire(invoice.amount)

    def get_credited_amount(self, invoice: InvoiceRequest) -> str:
        return wire(invoice.credited)


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


def of_customer(customer: Customer) -> QuerySet[InvoiceRequest]:
    """A customer's invoice requests with what is shown of them; the documents without their files."""
    documents = Prefetch("documents", Document.objects.defer("content").order_by("id"))
    return InvoiceRequest.objects.filter(customer=customer).prefetch_related(documents)


class InvoiceListView(generics.ListAPIView[InvoiceRequest]):
    """Invoice requests, newest first; POST asks for one."""

    serializer_class = InvoiceSerializer

    def get_queryset(self) -> QuerySet[InvoiceRequest]:
        if getattr(self, "swagger_fake_view", False):
            return InvoiceRequest.objects.none()
        return of_customer(caller(self.request).customer)

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
        customer, now = caller(request).customer, timezone.now()
        return run_once(
            request,
            customer=customer,
            now=now,
            act=lambda claim: _ask(request, claim, now=now),
            show=lambda number: Response(_data(of_customer(customer).get(number=number)), status=201),
        )


class InvoiceView(APIView):
    """One invoice request, with its state now."""

    @extend_schema(operation_id="invoice_requests_retrieve", responses={200: InvoiceAnswer})
    def get(self, request: Request, number: str) -> Response:
        return Response(_data(_find(caller(request).customer, number)))


class InvoiceCancelView(APIView):
    """Take a request back of which no document was made."""

    @extend_schema(
        operation_id="invoice_requests_cancel", parameters=[KEY_HEADER], request=None, responses={200: InvoiceAnswer}
    )
    def post(self, request: Request, number: str) -> Response:
        customer, now = caller(request).customer, timezone.now()
        invoice = _find(customer, number)

        def cancel(claim: Claim) -> Response:
            try:
                invoices.cancel(request_id=invoice.pk, now=now)
            except invoices.NotMovable as error:
                raise ApiError(str(error), status=409, code="invoice_not_cancellable") from None
            return Response(_data(_find(customer, number)))

        return run_once(
            request,
            customer=customer,
            now=now,
            act=cancel,
            show=lambda _number: Response(_data(_find(customer, number))),
        )


def _ask(request: Request, claim: Claim, *, now: datetime) -> Response:
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
    try:
        made = invoices.ask(
            customer=claim.customer,
            tax_id_confirmed=confirmed,
            amount=amount_text(data),
            **texts,
            now=now,
            in_transaction=lambda made: claim.bind(made.number),
        )
    except invoices.InvoiceError as error:
        raise refused(error) from None
    return Response(_data(of_customer(claim.customer).get(pk=made.pk)), status=201)


def _find(customer: Customer, number: str) -> InvoiceRequest:
    invoice = of_customer(customer).filter(number=number[:32]).first()
    if invoice is None:
        raise ApiError("There is no such invoice request.", status=404, code="not_found")
    return invoice


def _data(invoice: InvoiceRequest) -> dict[str, Any]:
    return {"data": InvoiceSerializer(invoice).data}
