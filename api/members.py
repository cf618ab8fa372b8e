"""REST: an account's members and invitations. Members are made by accepting an invitation alone."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.limits.periods import Period
from accounts.models import Invitation, Membership, SecurityEvent, User
from accounts.people import inviting, team
from accounts.people.team import Conflict, NotAllowed, TeamError
from accounts.roles import Role
from accounts.security import log
from api.common.authentication import caller
from api.common.base import ApiError, refused
from api.common.caps import CapField, ResetField, SpentField
from api.common.idempotency import Claim, run_once
from api.common.known import KnownFields
from billing.limits.members import set_caps

Kind = SecurityEvent.Kind
Made = TypeVar("Made")
ROLES = [role.value for role in Role]
NUMBER = re.compile(r"[0-9]{1,18}")
WHAT = {"keep": "key", "under": "member"}


class MemberSerializer(serializers.Serializer[Membership]):
    """Somebody who belongs to the account."""

    id = serializers.CharField(source="pk")
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(ROLES)
    keys = serializers.IntegerField(source="keys_count", help_text="Keys of theirs in this account that work.")
    last_seen_at = serializers.DateTimeField(source="seen_at", allow_null=True)
    daily_limit, daily_spent, daily_resets_at = CapField(), SpentField(Period.DAY), ResetField(Period.DAY)
    weekly_limit, weekly_spent, weekly_resets_at = CapField(), SpentField(Period.WEEK), ResetField(Period.WEEK)
    monthly_limit, monthly_spent, monthly_resets_at = CapField(), SpentField(Period.MONTH), ResetField(Period.MONTH)
    total_limit, total_spent, total_resets_at = CapField(), SpentField(Period.TOTAL), ResetField(Period.TOTAL)
    created_at = serializers.DateTimeField()


class MemberAnswer(serializers.Serializer[Any]):
    """How one member is answered."""

    data = MemberSerializer()  # type: ignore[assignment]


class NewRole(KnownFields, serializers.Serializer[Any]):
    """What PATCH /v1/members/{id} takes: a role, and what all keys of the member may spend together, in USD."""

    role = serializers.ChoiceField(ROLES, required=False)
    daily_limit, weekly_limit, monthly_limit, total_limit = CapField(), CapField(), CapField(), CapField()


class InvitationSerializer(serializers.Serializer[Invitation]):
    """An invitation. Its link stands in the mail alone."""

    id = serializers.CharField(source="pk")
    email = serializers.CharField()
    role = serializers.ChoiceField(ROLES)
    state = serializers.SerializerMethodField()
    invited_by = serializers.CharField(
        source="invited_by.email", allow_null=True, default=None, help_text="null: the operator"
    )
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.ChoiceField([*Invitation.State.values, "expired"]))
    def get_state(self, invitation: Invitation) -> str:
        return invitation.standing(now=timezone.now())


class InvitationAnswer(serializers.Serializer[Any]):
    """How one invitation is answered."""

    data = InvitationSerializer()  # type: ignore[assignment]


class NewInvitation(KnownFields, serializers.Serializer[Any]):
    """What POST /v1/invitations takes."""

    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(ROLES, required=False, default=Role.DEVELOPER.value)


def _by(request: Request) -> User | None:
    """Whose act it is: the key's maker; None for a key of the operator's."""
    return caller(request).key.created_by


def _done(act: Callable[[], Made]) -> Made:
    """Do it in one transaction, with its line in the log of security; a team's no becomes an answer."""
    try:
        with transaction.atomic():
            return act()
    except NotAllowed as error:
        raise ApiError(str(error), status=403, code="key_not_allowed") from None
    except Conflict as error:
        raise ApiError(str(error), status=409, code="state_conflict", param=error.field) from None
    except TeamError as error:
        raise refused(error) from None


class MembersView(GenericAPIView[Membership]):
    """Who belongs to the account, the last who joined first."""

    serializer_class = MemberSerializer

    def get_queryset(self) -> QuerySet[Membership]:
        if getattr(self, "swagger_fake_view", False):
            return Membership.objects.none()
        return team.members(caller(self.request).customer)

    @extend_schema(operation_id="members_list", responses={200: MemberSerializer(many=True)})
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class MemberView(GenericAPIView[Membership]):
    """One member. A change of role counts from the next request on; DELETE ends the keys that they made, but for those
    to `keep`, which live on `under` another member for 7 days at most, to call models and read alone.
    """

    serializer_class = MemberSerializer
    taken_in_query: ClassVar = {"DELETE": tuple(WHAT)}

    @extend_schema(operation_id="members_retrieve", responses={200: MemberAnswer})
    def get(self, request: Request, member_id: int) -> Response:
        return Response({"data": MemberSerializer(_member(request, member_id)).data})

    @extend_schema(operation_id="members_update", request=NewRole, responses={200: MemberAnswer})
    def patch(self, request: Request, member_id: int) -> Response:
        member, by = _member(request, member_id), _by(request)
        given = NewRole(data=request.data)
        given.is_valid(raise_exception=True)
        role = given.validated_data.pop("role", None)

        def change() -> None:
            customer = caller(request).customer
            if caps := given.validated_data:
                set_caps(membership=member, caps=caps, by=by, now=timezone.now())
            if role is None:
                return
            team.change_role(customer=customer, member_id=member.pk, role=role, by=by, now=timezone.now())
            if role != member.role:
                about = f"{member.user.email}: {role}"
                log.note_team(Kind.ROLE_CHANGED, request=request._request, by=by, of=member.user, about=about)

        _done(change)
        return Response({"data": MemberSerializer(_member(request, member_id)).data})

    @extend_schema(
        operation_id="members_destroy",
        parameters=[
            OpenApiParameter("keep", str, many=True, description="Ids of keys that live on: for 7 days at most."),
            OpenApiParameter("under", str, description="The id of the member under whom they do."),
        ],
        responses={204: None},
    )
    def delete(self, request: Request, member_id: int) -> Response:
        member, by, customer = _member(request, member_id), _by(request), caller(request).customer
        keep, under = _kept(request)

        def remove() -> None:
            team.remove(customer=customer, member_id=member.pk, by=by, now=timezone.now(), keep=keep, under=under)
            kind = Kind.LEFT if by is not None and member.user_id == by.pk else Kind.MEMBER_REMOVED
            about = f"{member.user.email}: {customer.name}"
            log.note_team(kind, request=request._request, by=by, of=member.user, about=about)

        _done(remove)
        return Response(status=204)


class InvitationsView(GenericAPIView[Invitation]):
    """Invitations, newest first; POST sends one. To send one again, delete it and post it anew."""

    serializer_class = InvitationSerializer

    def get_queryset(self) -> QuerySet[Invitation]:
        if getattr(self, "swagger_fake_view", False):
            return Invitation.objects.none()
        return Invitation.objects.filter(customer=caller(self.request).customer).select_related("invited_by")

    @extend_schema(operation_id="invitations_list", responses={200: InvitationSerializer(many=True)})
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="invitations_create",
        request=NewInvitation,
        responses={201: InvitationAnswer},
    )
    def post(self, request: Request) -> Response:
        who, by, now = caller(request), _by(request), timezone.now()

        def invite(claim: Claim) -> Response:
            given = NewInvitation(data=request.data)
            given.is_valid(raise_exception=True)
            return _shown(_done(lambda: _invite(request, claim, by=by, now=now, **given.validated_data)), status=201)

        def show(reference: str) -> Response:
            return _shown(_invitation(request, int(reference)), status=201)

        return run_once(request, customer=who.customer, now=now, act=invite, show=show)


def _invite(request: Request, claim: Claim, *, email: str, role: str, by: User | None, now: datetime) -> Invitation:
    made = inviting.invite(
        customer=claim.customer,
        email=email,
        role=role,
        by=by,
        now=now,
        in_transaction=lambda row: claim.bind(str(row.pk)),
    )
    log.note_team(Kind.INVITED, request=request._request, by=by, about=made.email)
    return made


class InvitationView(GenericAPIView[Invitation]):
    """One invitation; DELETE takes it back, and doing that again changes nothing."""

    serializer_class = InvitationSerializer

    @extend_schema(operation_id="invitations_retrieve", responses={200: InvitationAnswer})
    def get(self, request: Request, invitation_id: int) -> Response:
        return _shown(_invitation(request, invitation_id))

    @extend_schema(operation_id="invitations_destroy", responses={204: None})
    def delete(self, request: Request, invitation_id: int) -> Response:
        found, by, customer = _invitation(request, invitation_id), _by(request), caller(request).customer

        def revoke() -> None:
            inviting.revoke(customer=customer, invitation_id=found.pk, by=by, now=timezone.now())
            log.note_team(Kind.INVITATION_REVOKED, request=request._request, by=by, about=found.email)

        _done(revoke)
        return Response(status=204)


def _shown(invitation: Invitation, *, status: int = 200) -> Response:
    return Response({"data": InvitationSerializer(invitation).data}, status=status)


def _member(request: Request, member_id: int) -> Membership:
    rows = team.members(caller(request).customer)
    found = rows.filter(pk=member_id).first() if member_id < 2**63 else None
    if found is None:
        raise ApiError("There is no such member.", status=404, code="not_found")
    return found


def _kept(request: Request) -> tuple[list[int], int | None]:
    """The keys to keep, and the member under whom. Raises `ApiError`."""
    given = {"keep": request.query_params.getlist("keep"), "under": request.query_params.getlist("under")}
    for name, texts in given.items():
        if not all(NUMBER.fullmatch(text) for text in texts) or (name == "under" and len(texts) > 1):
            raise ApiError(f"{name} is the id of a {WHAT[name]}.", status=400, code="validation_error", param=name)
    if given["under"] and not given["keep"]:
        raise ApiError("Name the keys to keep.", status=400, code="validation_error", param="keep")
    return [int(text) for text in given["keep"]], int(given["under"][0]) if given["under"] else None


def _invitation(request: Request, invitation_id: int) -> Invitation:
    rows = Invitation.objects.filter(customer=caller(request).customer).select_related("invited_by")
    found = rows.filter(pk=invitation_id).first() if invitation_id < 2**63 else None
    if found is None:
        raise ApiError("There is no such invitation.", status=404, code="not_found")
    return found
