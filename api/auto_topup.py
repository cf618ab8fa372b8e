"""REST: automatic top-up."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from accounts.people.customers import language_of
from api.common.authentication import caller
from api.common.base import ApiError
from api.common.known import AmountField, KnownFields
from billing.books.money import ZERO, api_amount
from core.addresses import request_address
from payments.automatic import agreements, cards, looking, terms
from payments.automatic.keeping import keeper
from payments.automatic.terms import AutoTopUpError
from payments.models import AutoTopUp

CODES = {403: "account_suspended", 409: "state_conflict"}
STATES = {AutoTopUp.State.ON: "on", AutoTopUp.State.WAITING: "waiting_for_card", AutoTopUp.State.OFF: "off"}


class CardSerializer(serializers.Serializer[Any]):
    """What people know a saved card by."""

    brand = serializers.CharField()
    last4 = serializers.CharField()
    exp_month = serializers.IntegerField()
    exp_year = serializers.IntegerField()


class ConsentSerializer(serializers.Serializer[Any]):
    """The text that was agreed to."""

    version = serializers.CharField()
    text = serializers.CharField()
    agreed_at = serializers.DateTimeField()


class AutoTopUpSerializer(serializers.Serializer[Any]):
    """Automatic top-up as it stands. Amounts are USD, strings with 8 places; null where nothing was ever agreed to."""

    enabled = serializers.BooleanField()
    state = serializers.ChoiceField(list(STATES.values()))
    amount = serializers.CharField(allow_null=True, help_text="Credit of each top-up, or what reaches `threshold`.")
    threshold = serializers.CharField(allow_null=True)
    ceiling = serializers.CharField(allow_null=True, help_text="A calendar month, fees included.")
    currency = serializers.CharField()
    until = serializers.DateField(allow_null=True, help_text="The last day, in `time_zone`.")
    time_zone = serializers.CharField()
    spent_this_month = serializers.CharField(help_text="What was begun this month, fees included.")
    waits = serializers.ChoiceField(
        AutoTopUp.Wait.values, allow_null=True, help_text="Why nothing is charged now, though it is on."
    )
    card = CardSerializer(allow_null=True)
    setup_url = serializers.CharField(allow_null=True, help_text="Where an owner enters the card.")
    consent = ConsentSerializer(allow_null=True)
    disabled_reason = serializers.ChoiceField(AutoTopUp.Off.values, allow_null=True)
    disabled_at = serializers.DateTimeField(allow_null=True)


class NewAutoTopUp(KnownFields, serializers.Serializer[Any]):
    """What PUT /v1/auto-topup takes."""

    amount = AmountField(help_text='USD with at most two decimals, such as "20.00".')
    threshold = AmountField()
    ceiling = AmountField(required=False, help_text="100.00 unless named.")
    until = serializers.DateField()
    consent_version = serializers.CharField(
        required=False, help_text="Of the text agreed to; without it the answer says the text."
    )
    new_card = serializers.BooleanField(required=False, help_text="Save another card than the one there is.")


class AutoTopUpAnswer(serializers.Serializer[Any]):
    """How it is answered."""

    data = AutoTopUpSerializer()  # type: ignore[assignment]


class AutoTopUpView(APIView):
    """Automatic top-up: what an owner agreed to, and whether it is on."""

    @extend_schema(operation_id="auto_topup_retrieve", responses={200: AutoTopUpAnswer})
    def get(self, request: Request) -> Response:
        return Response({"data": shown(caller(request).customer, now=timezone.now())})

    @extend_schema(operation_id="auto_topup_update", request=NewAutoTopUp, responses={200: AutoTopUpAnswer})
    def put(self, request: Request) -> Response:
        """Agree, and switch it on; where no card is saved yet it waits for one, to be entered at `setup_url`."""
        who, now = caller(request), timezone.now()
        given = NewAutoTopUp(data=request.data)
        given.is_valid(raise_exception=True)
        if who.key.created_by is None:
            text = "An owner has to agree: this key was not made by a member."
            raise ApiError(text, status=403, code="key_not_allowed")
        try:
            agreement = _agree(
                who.customer,
                given.validated_data,
                by=who.key.created_by,
                address=request_address(request._request),
                now=now,
            )
        except AutoTopUpError as error:
            code = CODES.get(error.status, "validation_error")
            raise ApiError(str(error), status=error.status, code=code, param=error.field or None) from None
        if agreement.state == AutoTopUp.State.WAITING and not cards.start(agreement.card):
            text = "The payment provider does not answer. Nothing was switched on; send the same again."
            raise ApiError(text, status=503, code="provider_unavailable")
        return Response({"data": shown(who.customer, now=now)})

    @extend_schema(operation_id="auto_topup_destroy", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Switch it off, and remove the card."""
        agreements.switch_off(customer=caller(request).customer, now=timezone.now())
        return Response(status=204)


def _agree(customer: Customer, data: dict[str, Any], *, by: Any, address: str, now: datetime) -> AutoTopUp:
    method = keeper()
    if method is None:
        raise AutoTopUpError("No payment method here can save a card.")
    wanted = terms.checked(
        amount=data["amount"],
        threshold=data["threshold"],
        ceiling=data.get("ceiling", terms.CEILING),
        until=data["until"].isoformat(),
        method=method,
        customer=customer,
        now=now,
    )
    locale = language_of(customer)
    if "consent_version" not in data:
        text = terms.consent(wanted, customer=customer, locale="en")
        raise AutoTopUpError(f"Agree to this text by its version, “{terms.VERSION}”: {text}", field="consent_version")
    return agreements.agree(
        customer=customer,
        terms=wanted,
        version=data["consent_version"],
        by=by,
        address=address,
        locale=locale,
        now=now,
        new_card=data.get("new_card", False),
    )


def shown(customer: Customer, *, now: datetime) -> dict[str, Any]:
    """A customer's automatic top-up as the API has it."""
    agreement, waiting = agreements.current(customer.pk), agreements.waiting(customer.pk)
    setup_url = waiting.card.setup_url if waiting is not None and waiting.card.expires_at > now else ""
    answer: dict[str, Any] = dict.fromkeys(AutoTopUpSerializer().fields)
    answer |= {
        "enabled": False,
        "state": "off",
        "currency": "USD",
        "time_zone": customer.time_zone,
        "spent_this_month": api_amount(ZERO),
        "setup_url": setup_url or None,
    }
    if agreement is None:
        return answer
    card = agreement.card
    return answer | {
        "enabled": agreement.state == AutoTopUp.State.ON,
        "state": STATES[AutoTopUp.State(agreement.state)],
        "amount": api_amount(agreement.amount),
        "threshold": api_amount(agreement.threshold),
        "ceiling": api_amount(agreement.ceiling),
        "until": terms.last_day(agreement.ends_at, customer).isoformat(),
        "spent_this_month": api_amount(looking.spent(agreement, now=now)),
        "waits": agreement.waits or None,
        "card": CardSerializer(card).data if card.last4 else None,
        "consent": {
            "version": agreement.consent_version,
            "text": agreement.consent,
            "agreed_at": serializers.DateTimeField().to_representation(agreement.agreed_at),
        },
        "disabled_reason": agreement.off_reason or None,
        "disabled_at": serializers.DateTimeField().to_representation(agreement.off_at) if agreement.off_at else None,
    }
