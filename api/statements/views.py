"""REST: statements, a month of an account each."""

from typing import Any

from django.http import HttpResponse
from django.utils import timezone, translation
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.people.customers import language_of
from api.common.authentication import caller
from api.common.base import AnyAccepted, ApiError
from billing.statements import reading
from core.web.downloads import as_file

STATES = ("open", "closed")


class SpanSerializer(serializers.Serializer[Any]):
    """A month in the account's zone. USD, 8 decimals."""

    month = serializers.CharField(help_text="Such as 2026-11.")
    time_zone = serializers.CharField()
    opens_at = serializers.DateTimeField()
    closes_at = serializers.DateTimeField()
    state = serializers.ChoiceField(STATES)
    opening = serializers.CharField()
    closing = serializers.CharField(help_text="Of an open month: as it stands now.")


class FeeSerializer(serializers.Serializer[Any]):
    """What was paid on top, in the currency that was charged; no part of the balance."""

    currency = serializers.CharField()
    amount = serializers.CharField()


class MonthSerializer(serializers.Serializer[Any]):
    """What of a correction's line is about charges of one month, such as 2026-10."""

    month = serializers.CharField()
    count = serializers.IntegerField()
    amount = serializers.CharField()


class LineSerializer(serializers.Serializer[Any]):
    """All transfers of a kind that touched the account."""

    kind = serializers.CharField()
    description = serializers.CharField()
    count = serializers.IntegerField()
    amount = serializers.CharField()
    fees = FeeSerializer(many=True)
    months = MonthSerializer(many=True, help_text="Of a correction: the months whose charges it corrects.")


class UsedBySerializer(serializers.Serializer[Any]):
    """What requests of one model, key or member's keys were charged; the names are as they were at the closing.

    The sums go by the account's days. Where the month does not, as after a change of the time zone, a row with
    `is_rest` has what is left of `charged`, which may be below zero.
    """

    id = serializers.CharField(help_text="A model, or the id of a key or member; empty for keys of nobody.")
    name = serializers.CharField(help_text="A model, a key's name, a member's address.")
    prefix = serializers.CharField(help_text="How a key begins.")
    requests = serializers.IntegerField(allow_null=True, help_text="null in the rest.")
    charged = serializers.CharField()
    is_rest = serializers.BooleanField()


class UsedSerializer(serializers.Serializer[Any]):
    """What requests were charged in the month, whenever they began. Each of the lists comes to `charged`."""

    charged = serializers.CharField()
    from_paid = serializers.CharField()
    from_bonus = serializers.CharField()
    by_model = UsedBySerializer(many=True)
    by_key = UsedBySerializer(many=True)
    by_member = UsedBySerializer(many=True)


class StatementSerializer(SpanSerializer):
    """A month with its lines: `opening` and all lines are `closing`. Closed an hour after `closes_at`, for good."""

    lines = LineSerializer(many=True)
    usage = UsedSerializer()


class StatementsAnswer(serializers.Serializer[Any]):
    """All months, the newest first: `next` and `previous` are null."""

    data = SpanSerializer(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class StatementAnswer(serializers.Serializer[Any]):
    """How one statement is answered."""

    data = StatementSerializer()  # type: ignore[assignment]


class StatementsView(APIView):
    """The account's months."""

    @extend_schema(operation_id="statements_list", responses={200: StatementsAnswer})
    def get(self, request: Request) -> Response:
        found = reading.all_of(caller(request).customer, now=timezone.now())
        return Response({"data": found, "next": None, "previous": None})


class StatementView(APIView):
    """One month of the account."""

    @extend_schema(operation_id="statements_retrieve", responses={200: StatementAnswer})
    def get(self, request: Request, month: str) -> Response:
        return Response({"data": _statement(request, month)})


class StatementCsvView(APIView):
    """One month of the account as CSV."""

    content_negotiation_class = AnyAccepted

    @extend_schema(operation_id="statements_csv", responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, month: str) -> HttpResponse:
        content = reading.as_csv(_statement(request, month)).encode()
        return as_file(name=f"statement-{month}.csv", kind="text/csv; charset=utf-8", content=content)


class StatementPdfView(APIView):
    """One closed month of the account as a PDF, in the account's language."""

    content_negotiation_class = AnyAccepted

    @extend_schema(operation_id="statements_pdf", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, month: str) -> HttpResponse:
        customer = caller(request).customer
        _must_be_month(month)
        paper = reading.pdf(customer, month, locale=language_of(customer), now=timezone.now())
        if paper is None:
            raise ApiError("There is no closed statement of that month.", status=404, code="not_found")
        return as_file(name=f"statement-{month}.pdf", kind="application/pdf", content=paper.content)


def _must_be_month(month: str) -> None:
    if not reading.is_month(month):
        raise ApiError("A month is written as 2026-11.", status=400, code="validation_error", param="month")


def _statement(request: Request, month: str) -> dict[str, Any]:
    _must_be_month(month)
    with translation.override("en"):
        found = reading.one(caller(request).customer, month, now=timezone.now())
    if found is None:
        raise ApiError("There is no statement of that month.", status=404, code="not_found")
    return found
