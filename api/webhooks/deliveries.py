"""REST: what was posted to an endpoint, how it went, and once more."""

from typing import Any

import orjson
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.common.authentication import caller
from api.common.base import ApiError
from api.common.idempotency import Claim, run_once
from api.webhooks.endpoints import find, refused
from webhooks import deliveries
from webhooks.models import Attempt, Delivery, Endpoint


class AttemptSerializer(serializers.Serializer[Attempt]):
    """How one attempt went."""

    at = serializers.DateTimeField()
    duration_ms = serializers.IntegerField(source="milliseconds")
    status = serializers.IntegerField(allow_null=True, help_text="null: no answer came.")
    problem = serializers.SerializerMethodField(help_text="Why none came; null where one did.")
    response = serializers.CharField(source="answer", help_text="The first 1 kB of its body.")

    def get_problem(self, attempt: Attempt) -> str | None:
        return attempt.problem or None


class DeliverySerializer(serializers.Serializer[Delivery]):
    """An event for an endpoint. `webhook_id` is the header of each of its posts."""

    id = serializers.CharField(source="number")
    webhook_id = serializers.CharField(source="message_id")
    event = serializers.CharField()
    state = serializers.ChoiceField(Delivery.State.choices)
    next_attempt_at = serializers.DateTimeField(source="send_at", allow_null=True)
    attempts = serializers.SerializerMethodField(help_text="The latest first.")
    request = serializers.SerializerMethodField(help_text="The body that is posted.")
    created_at = serializers.DateTimeField()

    def get_attempts(self, delivery: Delivery) -> list[dict[str, Any]]:
        tries = sorted(delivery.tries.all(), key=lambda attempt: attempt.pk, reverse=True)
        return [dict(AttemptSerializer(attempt).data) for attempt in tries]

    def get_request(self, delivery: Delivery) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(delivery.body)
        return body


class DeliveryAnswer(serializers.Serializer[Any]):
    """How one delivery is answered."""

    data = DeliverySerializer()  # type: ignore[assignment]


class DeliveriesView(generics.ListAPIView[Delivery]):
    """An endpoint's deliveries of the last 30 days, newest first."""

    serializer_class = DeliverySerializer

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        endpoint = find(caller(self.request).customer, self.kwargs["number"])
        return Delivery.objects.filter(endpoint=endpoint).prefetch_related("tries")

    @extend_schema(operation_id="webhook_deliveries_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class TestView(APIView):
    """Post an event that says nothing, once, to see whether it arrives."""

    @extend_schema(operation_id="webhooks_test", request=None, responses={201: DeliveryAnswer})
    def post(self, request: Request, number: str) -> Response:
        customer, now = caller(request).customer, timezone.now()
        endpoint = find(customer, number)

        def act(claim: Claim) -> Response:
            try:
                row = deliveries.send_test(endpoint, now=now, in_transaction=lambda made: claim.bind(made.number))
            except deliveries.NotSent as error:
                raise refused(error) from None
            return _shown(endpoint, row.number, status=201)

        return run_once(
            request,
            customer=customer,
            now=now,
            act=act,
            show=lambda made: _shown(endpoint, made, status=201),
            takes_fields=False,
        )


class ReplayView(APIView):
    """Post it again, from the first attempt on: under the same `webhook-id`, with a new timestamp."""

    @extend_schema(
        operation_id="webhook_deliveries_replay",
        request=None,
        responses={200: DeliveryAnswer},
    )
    def post(self, request: Request, number: str, delivery: str) -> Response:
        customer, now = caller(request).customer, timezone.now()
        endpoint = find(customer, number)
        row = _find(endpoint, delivery)

        def act(claim: Claim) -> Response:
            try:
                deliveries.send_again(row, now=now)
            except deliveries.NotSent as error:
                raise refused(error) from None
            return _shown(endpoint, row.number)

        return run_once(
            request,
            customer=customer,
            now=now,
            act=act,
            show=lambda _number: _shown(endpoint, row.number),
            takes_fields=False,
        )


def _find(endpoint: Endpoint, number: str) -> Delivery:
    row = Delivery.objects.filter(endpoint=endpoint, number=number[:32]).select_related("endpoint").first()
    if row is None:
        raise ApiError("There is no such delivery.", status=404, code="not_found")
    return row


def _shown(endpoint: Endpoint, number: str, *, status: int = 200) -> Response:
    return Response({"data": DeliverySerializer(_find(endpoint, number)).data}, status=status)
