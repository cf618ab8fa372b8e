"""REST: endpoints of webhooks. A secret stands in the answer that made it, and nowhere else."""

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from api.common.authentication import caller
from api.common.base import ApiError
from api.common.idempotency import Claim, run_once
from api.common.known import KnownFields
from webhooks import endpoints
from webhooks.kinds import EVENTS
from webhooks.models import Endpoint
from webhooks.places import LONGEST


class EndpointSerializer(KnownFields, serializers.Serializer[Endpoint]):
    """An endpoint: an address that events are posted to."""

    id = serializers.CharField(source="number", read_only=True)
    url = serializers.CharField(max_length=LONGEST, help_text="https alone, at an address of the public network.")
    events = serializers.ListField(
        child=serializers.ChoiceField(list(EVENTS)), required=False, help_text="All of them unless named."
    )
    description = serializers.CharField(max_length=200, required=False, allow_blank=True)
    is_active = serializers.BooleanField(required=False)
    off_reason = serializers.SerializerMethodField(
        help_text="null while it is active; `owner`, `gone` (it answered 410), `failing` (for 3 days) or"
        " `known` (its secret, to who is no owner any more)."
    )
    off_since = serializers.DateTimeField(source="off_at", read_only=True, allow_null=True)
    failing_since = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Nothing was delivered from then on."
    )
    made_by = serializers.CharField(
        source="created_by.email", read_only=True, allow_null=True, default=None, help_text="null: the operator"
    )
    known_to = serializers.CharField(
        source="known_to.email",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="Who is no owner any more, and knows its secret until it is rotated.",
    )
    rotate_by = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="When it is switched off unless its secret is rotated before."
    )
    created_at = serializers.DateTimeField(read_only=True)

    def get_off_reason(self, endpoint: Endpoint) -> str | None:
        return endpoint.off_why or None


class EndpointAnswer(serializers.Serializer[Any]):
    """How one endpoint is answered."""

    data = EndpointSerializer()  # type: ignore[assignment]


class SecretSerializer(EndpointSerializer):
    """An endpoint with its new secret, this once."""

    secret = serializers.CharField(read_only=True, help_text="whsec_..., shown this once.")


class SecretAnswer(serializers.Serializer[Any]):
    """The answer that has the secret."""

    data = SecretSerializer()  # type: ignore[assignment]


class EndpointsView(generics.ListAPIView[Endpoint]):
    """Endpoints, newest first; POST makes one."""

    serializer_class = EndpointSerializer

    def get_queryset(self) -> QuerySet[Endpoint]:
        if getattr(self, "swagger_fake_view", False):
            return Endpoint.objects.none()
        return _of(caller(self.request).customer)

    @extend_schema(operation_id="webhooks_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(operation_id="webhooks_create", responses={201: SecretAnswer})
    def post(self, request: Request) -> Response:
        who, now = caller(request), timezone.now()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data

        def make(claim: Claim) -> Response:
            made: list[Response] = []

            def keep(new: endpoints.Made) -> None:
                # The answer is kept with the endpoint it tells of, as nothing else could tell the secret again.
                if given.get("is_active") is False:
                    endpoints.switch_off(new.endpoint, why=Endpoint.Off.OWNER, now=now)
                    new.endpoint.refresh_from_db()
                claim.bind(new.endpoint.number)
                answer = Response({"data": {"secret": new.secret, **shown(new.endpoint)}}, status=201)
                claim.store(answer)
                made.append(answer)

            try:
                endpoints.make(
                    customer=who.customer,
                    url=given["url"],
                    wanted=given.get("events", list(EVENTS)),
                    description=given.get("description", ""),
                    made_by=who.key.created_by,
                    now=now,
                    in_transaction=keep,
                )
            except endpoints.EndpointError as error:
                raise refused(error) from None
            return made[0]

        def show(number: str) -> Response:
            return Response({"data": shown(find(who.customer, number))}, status=201)

        return run_once(request, customer=who.customer, now=now, act=make, show=show)


class EndpointView(generics.GenericAPIView[Endpoint]):
    """One endpoint."""

    serializer_class = EndpointSerializer

    @extend_schema(operation_id="webhooks_retrieve", responses={200: EndpointAnswer})
    def get(self, request: Request, number: str) -> Response:
        return Response({"data": shown(find(caller(request).customer, number))})

    @extend_schema(operation_id="webhooks_update", responses={200: EndpointAnswer})
    def patch(self, request: Request, number: str) -> Response:
        endpoint = find(caller(request).customer, number)
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        given = serializer.validated_data
        try:
            endpoints.change(
                endpoint,
                url=given.get("url"),
                wanted=given.get("events"),
                description=given.get("description"),
                active=given.get("is_active"),
                now=timezone.now(),
            )
        except endpoints.EndpointError as error:
            raise refused(error) from None
        return Response({"data": shown(find(caller(request).customer, number))})

    @extend_schema(operation_id="webhooks_destroy", responses={204: None})
    def delete(self, request: Request, number: str) -> Response:
        endpoints.delete(find(caller(request).customer, number), now=timezone.now())
        return Response(status=204)


class RotateView(APIView):
    """A new secret. The one before signs too, for 24 hours."""

    @extend_schema(operation_id="webhooks_rotate", request=None, responses={200: SecretAnswer})
    def post(self, request: Request, number: str) -> Response:
        customer, by, now = caller(request).customer, caller(request).key.created_by, timezone.now()
        endpoint = find(customer, number)

        def rotate(claim: Claim) -> Response:
            made: list[Response] = []

            def keep(secret: str) -> None:
                claim.bind(endpoint.number)
                answer = Response({"data": {"secret": secret, **shown(find(customer, number))}})
                claim.store(answer)
                made.append(answer)

            try:
                endpoints.rotate(endpoint, by=by, now=now, in_transaction=keep)
            except endpoints.EndpointError as error:
                raise refused(error) from None
            return made[0]

        def show(_number: str) -> Response:
            return Response({"data": shown(find(customer, number))})

        return run_once(request, customer=customer, now=now, act=rotate, show=show, takes_fields=False)


def find(customer: Customer, number: str) -> Endpoint:
    """One of a customer's own; raises 404."""
    endpoint = _of(customer).filter(number=number[:32]).first()
    if endpoint is None:
        raise ApiError("There is no such endpoint.", status=404, code="not_found")
    return endpoint


def _of(customer: Customer) -> QuerySet[Endpoint]:
    return Endpoint.objects.of(customer.pk).select_related("created_by", "known_to")


def shown(endpoint: Endpoint) -> dict[str, Any]:
    data: dict[str, Any] = EndpointSerializer(endpoint).data
    return data


def refused(error: endpoints.EndpointError) -> ApiError:
    if not error.field:
        return ApiError(str(error), status=409, code="state_conflict")
    return ApiError(str(error), status=400, code="validation_error", param=error.field)
