"""REST: what an account's owners want to be warned of."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from api.common.authentication import caller
from api.common.base import ApiError
from api.common.known import AmountField, KnownFields
from billing.books.money import api_amount
from billing.models import Wallet
from billing.warnings import setting
from billing.warnings.setting import AlertError, Wanted

AMOUNTS = ("low_balance", "monthly_budget")


class AlertsSerializer(serializers.Serializer[Any]):
    """What owners are told of, by mail, on the pages and by webhooks. Amounts are USD, strings with 8 places."""

    enabled = serializers.BooleanField(help_text="Whether anything is set.")
    low_balance = serializers.CharField(allow_null=True, help_text="Told once as the balance falls below.")
    is_low = serializers.BooleanField(help_text="It was told of, and the balance was not above 110 % of it since.")
    monthly_budget = serializers.CharField(
        allow_null=True, help_text="Of the whole account; told at 50, 80 and 100 %. It stops nothing."
    )
    month_spent = serializers.CharField(
        allow_null=True, help_text="Charged this month; null where there is no monthly budget."
    )
    caps = serializers.BooleanField(help_text="Tell at 50, 80 and 100 % of caps and of budgets.")
    weekly_summary = serializers.BooleanField(help_text="A mail on Monday at 08:00 in `time_zone`.")
    currency = serializers.CharField()
    time_zone = serializers.CharField()


class NewAlerts(KnownFields, serializers.Serializer[Any]):
    """What PUT /v1/alerts takes: all of it; what is left out is off."""

    low_balance = AmountField(default=None, allow_null=True, help_text='USD, such as "20.00".')
    monthly_budget = AmountField(default=None, allow_null=True)
    caps = serializers.BooleanField(default=False)
    weekly_summary = serializers.BooleanField(default=False)


class AlertsAnswer(serializers.Serializer[Any]):
    """How it is answered."""

    data = AlertsSerializer()  # type: ignore[assignment]


class AlertsView(APIView):
    """What the account's owners want to be warned of."""

    @extend_schema(operation_id="alerts_retrieve", responses={200: AlertsAnswer})
    def get(self, request: Request) -> Response:
        return Response({"data": shown(caller(request).customer)})

    @extend_schema(operation_id="alerts_update", request=NewAlerts, responses={200: AlertsAnswer})
    def put(self, request: Request) -> Response:
        """Set them, in place of what was set."""
        who = caller(request)
        given = NewAlerts(data=request.data)
        given.is_valid(raise_exception=True)
        wanted = _wanted(given.validated_data)
        setting.change(customer=who.customer, wanted=wanted, by=who.key.created_by, now=timezone.now())
        return Response({"data": shown(who.customer)})


def _wanted(data: dict[str, Any]) -> Wanted:
    try:
        low, budget = (setting.amount(data[name], field=name) for name in AMOUNTS)
    except AlertError as error:
        raise ApiError(str(error), status=400, code="validation_error", param=error.field) from None
    return Wanted(low, budget, data["caps"], data["weekly_summary"])


def shown(customer: Customer) -> dict[str, Any]:
    """They as the API has them."""
    row, budget = setting.current(customer), None
    if row.monthly_budget is not None:
        budget = setting.month_spent(customer, now=timezone.now())
    return {
        "enabled": row.is_on,
        "low_balance": None if row.low_balance is None else api_amount(row.low_balance),
        "is_low": Wallet.objects.filter(customer=customer, low_since__isnull=False).exists(),
        "monthly_budget": None if row.monthly_budget is None else api_amount(row.monthly_budget),
        "month_spent": None if budget is None else api_amount(budget),
        "caps": row.caps,
        "weekly_summary": row.weekly_summary,
        "currency": "USD",
        "time_zone": customer.time_zone,
    }
