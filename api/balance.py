"""REST: the account itself, its balance and its transactions."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from accounts.limits.periods import zone_names
from accounts.models import Customer
from accounts.people.customers import set_time_zone
from api.common.authentication import caller
from api.common.base import ApiError, own_address, page_limit
from api.common.known import KnownFields
from billing.books import history
from billing.books.money import api_amount
from billing.models import Wallet


class AccountSerializer(KnownFields, serializers.ModelSerializer[Customer]):
    """An account. Its days, and so the caps of its keys, begin at midnight in `time_zone`, an IANA name."""

    id = serializers.CharField(read_only=True)
    time_zone = serializers.CharField(help_text="An IANA name, such as Asia/Shanghai.")

    class Meta:
        model = Customer
        fields = ("id", "name", "time_zone", "created_at")
        read_only_fields = ("name", "created_at")

    def validate_time_zone(self, name: str) -> str:
        if name not in zone_names():
            raise serializers.ValidationError("There is no such time zone: an IANA name, such as Asia/Shanghai.")
        return name


class AccountAnswer(serializers.Serializer[Any]):
    """How it is answered."""

    data = AccountSerializer()  # type: ignore[assignment]


class AccountView(GenericAPIView[Customer]):
    serializer_class = AccountSerializer

    @extend_schema(operation_id="account_retrieve", responses={200: AccountAnswer})
    def get(self, request: Request) -> Response:
        return Response({"data": self.get_serializer(caller(request).customer).data})

    @extend_schema(operation_id="account_update", responses={200: AccountAnswer})
    def patch(self, request: Request) -> Response:
        customer = caller(request).customer
        serializer = self.get_serializer(customer, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        if "time_zone" in serializer.validated_data:
            set_time_zone(customer=customer, name=serializer.validated_data["time_zone"])
        return Response({"data": self.get_serializer(customer).data})


class CreditsSerializer(serializers.Serializer[Any]):
    """USD, 8 decimals. `balance` = `paid` + `bonus`; `available` = `balance` - `held`."""

    balance = serializers.CharField()
    paid = serializers.CharField()
    bonus = serializers.CharField()
    held = serializers.CharField()
    available = serializers.CharField()
    currency = serializers.CharField()


class CreditsAnswer(serializers.Serializer[Any]):
    """How it is answered."""

    data = CreditsSerializer()  # type: ignore[assignment]


class CreditsView(APIView):
    @extend_schema(operation_id="credits_retrieve", responses={200: CreditsAnswer})
    def get(self, request: Request) -> Response:
        return Response({"data": shown_credits(Wallet.objects.get(customer=caller(request).customer))})


def shown_credits(wallet: Wallet) -> dict[str, str]:
    """A wallet as the API has it."""
    return {
        "balance": api_amount(wallet.balance),
        "paid": api_amount(wallet.paid),
        "bonus": api_amount(wallet.bonus),
        "held": api_amount(wallet.held),
        "available": api_amount(wallet.available),
        "currency": "USD",
    }


class TransactionSerializer(serializers.Serializer[Any]):
    """One movement of a balance: `amount` in USD, negative where money went out; `balance` is `paid` or `bonus`."""

    id = serializers.CharField()
    kind = serializers.CharField()
    reference = serializers.CharField(help_text="What it is about, such as gen-...:paid or topup:7:USD.")
    amount = serializers.CharField()
    currency = serializers.CharField()
    balance = serializers.ChoiceField(choices=["paid", "bonus"])
    description = serializers.CharField()
    created_at = serializers.DateTimeField()


class TransactionsAnswer(serializers.Serializer[Any]):
    """A page of them."""

    data = TransactionSerializer(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)


class TransactionsView(APIView):
    """Transfers that touched the customer's balances, newest first."""

    @extend_schema(
        operation_id="transactions_list",
        parameters=[
            OpenApiParameter("cursor", str, description="From `next` or `previous`."),
            OpenApiParameter("limit", int, description="1 to 200, 50 by default."),
        ],
        responses={200: TransactionsAnswer},
    )
    def get(self, request: Request) -> Response:
        before, after = _cursor(request.query_params.get("cursor", ""))
        page = history.page_of(customer=caller(request).customer, before=before, after=after, limit=page_limit(request))
        url = own_address(request)
        older = page.entries and page.has_older
        newer = page.entries and page.has_newer
        rows = [
            {
                "id": entry.id,
                "kind": entry.kind,
                "reference": entry.key,
                "amount": api_amount(entry.amount),
                "currency": "USD",
                "balance": entry.balance,
                "description": entry.description,
                "created_at": entry.created_at,
            }
            for entry in page.entries
        ]
        return Response(
            {
                "data": TransactionSerializer(rows, many=True).data,
                "next": replace_query_param(url, "cursor", f"b{page.entries[-1].id}") if older else None,
                "previous": replace_query_param(url, "cursor", f"a{page.entries[0].id}") if newer else None,
            }
        )


def _cursor(text: str) -> tuple[int | None, int | None]:
    """(before, after): what `next` (b...) and `previous` (a...) say."""
    if not text:
        return None, None
    way, number = text[0], text[1:]
    if way not in "ab" or not (number.isascii() and number.isdigit()) or len(number) > 18:
        raise ApiError("`cursor` comes from `next` or `previous`.", status=400, code="validation_error", param="cursor")
    return (int(number), None) if way == "b" else (None, int(number))
