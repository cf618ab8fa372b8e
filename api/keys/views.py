"""REST: a customer's keys. A key's text stands in the answer that made it, and nowhere else."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.keys import issuing
from accounts.keys.delegation import FIELDS, widened
from accounts.keys.known import does_more, outlives
from accounts.keys.rotating import LONGEST_OVERLAP, NotRotated, rotate
from accounts.models import ApiKey, SecurityEvent
from accounts.roles import Right, rights_of
from accounts.security import log
from api.common.authentication import KeyCaller, caller
from api.common.base import ApiError
from api.common.idempotency import Claim, run_once
from api.common.known import KnownFields
from api.keys.shown import KeyAnswer, KeySerializer, NewKeyAnswer, rows


def _refuse_wider(who: KeyCaller, wanted: Mapping[str, Any]) -> None:
    """Raise 403 `key_not_allowed` where a key would be made that may do more than the caller's."""
    field = widened(who.key, wanted)
    if field:
        raise ApiError(
            f"A key cannot make one that may do more than itself: `{field}` would be wider than its own.",
            status=403,
            code="key_not_allowed",
            param=field,
        )


def _note(request: Request, kind: SecurityEvent.Kind, key: ApiKey) -> None:
    log.note(kind, request=request._request, user=caller(request).key.created_by, key=key)


def _own_or_any(who: KeyCaller, key_id: int) -> ApiKey:
    """A key that the caller may change: its maker's own, or with an owner's right anybody's in the account."""
    key = _find(who, key_id)
    if Right.OTHERS_KEYS not in rights_of(who.role) and key.created_by_id != who.key.created_by_id:
        raise ApiError("Only an owner's key may change keys that others made.", status=403, code="key_not_allowed")
    return key


HOUR = timedelta(hours=1)


class KeysView(GenericAPIView[ApiKey]):
    serializer_class = KeySerializer

    def get_queryset(self) -> QuerySet[ApiKey]:
        if getattr(self, "swagger_fake_view", False):
            return ApiKey.objects.none()
        return _keys_of(caller(self.request))

    @extend_schema(operation_id="keys_list", responses={200: KeySerializer(many=True)})
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="keys_create", responses={201: NewKeyAnswer})
    def post(self, request: Request) -> Response:
        who, now = caller(request), timezone.now()

        def issue(claim: Claim) -> Response:
            serializer = self.get_serializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            _refuse_wider(who, serializer.validated_data)
            fields = {**serializer.validated_data}
            active = fields.pop("is_active", True)
            # The answer is kept with the key it tells of, as nothing else could tell the key's text again.
            with transaction.atomic():
                try:
                    issued = issuing.issue(customer=who.customer, now=now, made_with=who.key, **fields)
                except issuing.TooManyKeys as error:
                    raise ApiError(str(error), status=409, code="state_conflict") from None
                claim.bind(str(issued.key.pk))
                _note(request, SecurityEvent.Kind.KEY_MADE, issued.key)
                if not active:
                    issuing.switch(key=issued.key, active=False)
                response = Response({"data": {"key": issued.text, **_shown(issued.key.pk)}}, status=201)
                claim.store(response)
            return response

        def show(reference: str) -> Response:
            return Response({"data": _shown(int(reference))}, status=201)

        return run_once(request, customer=who.customer, now=now, act=issue, show=show)


class KeyView(GenericAPIView[ApiKey]):
    serializer_class = KeySerializer

    @extend_schema(operation_id="keys_retrieve", responses={200: KeyAnswer})
    def get(self, request: Request, key_id: int) -> Response:
        return Response({"data": _shown(_find(caller(request), key_id).pk)})

    @extend_schema(operation_id="keys_update", responses={200: KeyAnswer})
    def patch(self, request: Request, key_id: int) -> Response:
        who = caller(request)
        key = _own_or_any(who, key_id)
        serializer = self.get_serializer(key, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        if serializer.validated_data:
            # As it would be: enabling a key again makes one, too.
            _refuse_wider(who, {field: getattr(key, field) for field in FIELDS} | serializer.validated_data)
            if "expires_at" in serializer.validated_data and outlives(key, serializer.validated_data["expires_at"]):
                raise ApiError(
                    "Somebody who left knows this key: it ends by `rotate_by`, or make a new one.",
                    status=400,
                    code="validation_error",
                    param="expires_at",
                )
            if does_more(key, serializer.validated_data.get("scopes", ())):
                raise ApiError(
                    "Somebody who left knows this key: rotate it first.",
                    status=400,
                    code="validation_error",
                    param="scopes",
                )
            issuing.change(key=key, changes=serializer.validated_data)
            _note(request, SecurityEvent.Kind.KEY_CHANGED, key)
        return Response({"data": _shown(key.pk)})

    @extend_schema(operation_id="keys_destroy", responses={204: None})
    def delete(self, request: Request, key_id: int) -> Response:
        key = _own_or_any(caller(request), key_id)
        issuing.delete(key=key, now=timezone.now())
        _note(request, SecurityEvent.Kind.KEY_DELETED, key)
        return Response(status=204)


class RotationSerializer(KnownFields, serializers.Serializer[Any]):
    """For how many hours the text that the key has works on; a day unless named."""

    overlap_hours = serializers.IntegerField(min_value=0, max_value=LONGEST_OVERLAP // HOUR, default=24)


class RotateView(GenericAPIView[ApiKey]):
    """A new text for a key, under the same limits and meter, in the answer this once."""

    serializer_class = RotationSerializer

    @extend_schema(operation_id="keys_rotate", responses={201: NewKeyAnswer})
    def post(self, request: Request, key_id: int) -> Response:
        who = caller(request)
        key = _own_or_any(who, key_id)

        def act(claim: Claim) -> Response:
            serializer = self.get_serializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            overlap = serializer.validated_data["overlap_hours"] * HOUR
            # Whoever has its text may what it may. A repeat may come with the text that the first has replaced.
            _refuse_wider(who, {field: getattr(key, field) for field in FIELDS})
            with transaction.atomic():
                try:
                    rotated = rotate(key=key, overlap=overlap)
                except NotRotated as error:
                    raise ApiError(str(error), status=409, code="state_conflict") from None
                claim.bind(str(key.pk))
                _note(request, SecurityEvent.Kind.KEY_ROTATED, rotated.key)
                response = Response({"data": {"key": rotated.text, **_shown(key.pk)}}, status=201)
                claim.store(response)
            return response

        def show(reference: str) -> Response:
            return Response({"data": _shown(int(reference))}, status=201)

        return run_once(request, customer=who.customer, now=timezone.now(), act=act, show=show)


def _keys_of(who: KeyCaller) -> QuerySet[ApiKey]:
    """Without those of budgets, which end with them."""
    return rows().filter(customer=who.customer, deleted_at__isnull=True, child__isnull=True)


def _find(who: KeyCaller, key_id: int) -> ApiKey:
    key = _keys_of(who).filter(pk=key_id).first() if key_id < 2**63 else None
    if key is None:
        raise ApiError("There is no such key.", status=404, code="not_found")
    return key


def _shown(key_id: int) -> Any:
    return KeySerializer(rows().get(pk=key_id)).data
