"""REST: what a customer was charged, by day, model, key, member or session, and all of it as CSV."""

from datetime import date, timedelta
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.common.authentication import caller
from api.common.base import ApiError
from billing.books.money import api_amount
from core.web.streaming import csv_answer
from proxy.records import sessions, sums
from proxy.records.exported import since_the_first, usage_csv
from proxy.records.sums import By, Chosen, Group

GROUPS = ("day", "model", "key", "member", "session")
DAYS = 30
MOST_DAYS = 366


class UsageSerializer(serializers.Serializer[Group]):
    """One group: a day, a model, a key's prefix, a member's address or a session in `group`; `cost` in USD, 8 decimals.

    `cost` is what was charged in these days less what was given back in them. A member is whose key it was, "" for keys
    of nobody. A session's requests name it by `X-Session-Id`, or as their client does; "" are those that name none.
    """

    group = serializers.CharField(source="name")
    requests = serializers.IntegerField(source="figures.requests")
    input_tokens = serializers.IntegerField(source="figures.input_tokens")
    output_tokens = serializers.IntegerField(source="figures.output_tokens")
    cached_tokens = serializers.IntegerField(source="figures.cached_tokens")
    cost = serializers.SerializerMethodField()

    def get_cost(self, group: Group) -> str:
        return api_amount(group.figures.cost)


class UsageAnswer(serializers.Serializer[Any]):
    """All groups at once: `next` and `previous` are null, as there are no further pages."""

    data = UsageSerializer(many=True)  # type: ignore[assignment]
    time_zone = serializers.CharField(help_text="Of the account: its days begin at midnight there.")
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class UsageView(APIView):
    """Requests, tokens and charges of some days of the account's zone. A request counts when it is charged."""

    @extend_schema(
        operation_id="usage_retrieve",
        parameters=[
            OpenApiParameter("group_by", str, enum=list(GROUPS), description="day by default."),
            OpenApiParameter("from", date, description="The first day; 30 days up to `to` by default."),
            OpenApiParameter("to", date, description="The last day; today by default."),
        ],
        responses={200: UsageAnswer},
    )
    def get(self, request: Request) -> Response:
        by = request.query_params.get("group_by", "day")
        if by not in GROUPS:
            raise _wrong("group_by", f"`group_by` must be one of {', '.join(GROUPS)}.")
        customer = caller(request).customer
        last = _day(request, "to", sums.today_of(customer, now=timezone.now()))
        first = _day(request, "from", last - timedelta(days=DAYS - 1))
        if not first <= last < first + timedelta(days=MOST_DAYS):
            raise _wrong("from", f"`from` must be at most {MOST_DAYS - 1} days before `to`.")
        chosen = Chosen(first=first, last=last)
        groups: Any = (
            sessions.dearest(customer, of=chosen) if by == "session" else sums.grouped(customer, By(by), of=chosen)
        )
        data = UsageSerializer(groups, many=True).data
        return Response({"data": data, "time_zone": customer.time_zone, "next": None, "previous": None})


class UsageCsvView(APIView):
    """Every charge, and every correction of one, as CSV of any length. Its sum is what requests took of the balance."""

    @extend_schema(
        operation_id="usage_csv",
        parameters=[
            OpenApiParameter("from", date, description="The first day; the account's first by default."),
            OpenApiParameter("to", date, description="The last day; today by default."),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        customer = caller(request).customer
        last = _day(request, "to", sums.today_of(customer, now=timezone.now()))
        first = _day(request, "from", min(since_the_first(), last))
        if first > last:
            raise _wrong("from", "`from` must not be after `to`.")
        lines = usage_csv(customer, of=Chosen(first=first, last=last))
        return csv_answer(request._request, lines, name=f"usage-{first}-{last}.csv")


def _day(request: Request, name: str, default: date) -> date:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year < 2200:
        raise _wrong(name, f"`{name}` must be a day such as 2026-11-23.")
    return day


def _wrong(param: str, message: str) -> ApiError:
    return ApiError(message, status=400, code="validation_error", param=param)
