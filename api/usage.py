"""REST: what a customer used, by day, model, key or session."""

from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.common.authentication import caller
from api.common.base import ApiError
from billing.books.money import api_amount
from proxy.records import lists

GROUPS = ("day", "model", "key", "session")
DAYS = 30
MOST_DAYS = 366


class UsageSerializer(serializers.Serializer[lists.Group]):
    """One group: a day, a model, a key's prefix or a session in `group`; `cost` in USD as charged, 8 decimals.

    A session's requests name it by `X-Session-Id`, or as their client does; those that name none are under "".
    """

    group = serializers.CharField(source="name")
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cost = serializers.SerializerMethodField()

    def get_cost(self, group: lists.Group) -> str:
        return api_amount(group.cost)


class UsageAnswer(serializers.Serializer[Any]):
    """All groups at once: `next` and `previous` are null, as there are no further pages."""

    data = UsageSerializer(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class UsageView(APIView):
    """Requests, tokens and charges of some days (UTC), summed up. Requests in flight count; their cost comes later."""

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
        last = _day(request, "to", timezone.now().date())
        first = _day(request, "from", last - timedelta(days=DAYS - 1))
        if not first <= last < first + timedelta(days=MOST_DAYS):
            raise _wrong("from", f"`from` must be at most {MOST_DAYS - 1} days before `to`.")
        groups: Any = lists.grouped(customer=caller(request).customer, by=by, first=first, last=last)
        return Response({"data": UsageSerializer(groups, many=True).data, "next": None, "previous": None})


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
