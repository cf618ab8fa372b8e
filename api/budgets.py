"""REST: budgets. A budget's key stands in the answer that made it, and nowhere else."""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ApiKey, SecurityEvent
from accounts.roles import Right, Scope, rights_of
from accounts.security import log
from api.common.authentication import KeyCaller, caller
from api.common.base import ApiError
from api.common.idempotency import Claim, run_once
from api.common.known import ExactAmountField, KnownFields
from billing.budgets import ending, making
from billing.budgets.figures import figures_of
from billing.budgets.making import BudgetError, Made
from billing.models import Budget
from core.clock import database_now

STATUSES = {"validation_error": 400, "insufficient_balance": 402, "state_conflict": 409}
"""Of what keeps a budget from being made; 403 for anything else."""
LONGEST_SECONDS = int(making.LONGEST.total_seconds())


def _usd(source: str, words: str) -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=20, decimal_places=8, source=source, help_text=words)


class BudgetSerializer(serializers.Serializer[Budget]):
    """A budget. Amounts are USD, strings with 8 places; `amount` is `spent`, `held`, `left` and `returned` together."""

    id = serializers.CharField(source="pk")
    name = serializers.CharField(source="key.name")
    key_prefix = serializers.CharField(source="key.prefix")
    amount = serializers.DecimalField(max_digits=20, decimal_places=8)
    spent = _usd("figures.spent", "Charged for its requests.")
    held = _usd("figures.held", "Held by its requests under way.")
    left = _usd("figures.left", "What its requests may still spend; nothing once it has ended.")
    returned = _usd("figures.returned", "What went back to the balance at its end.")
    currency = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField(help_text="`open` or `ended`.")
    ended_reason = serializers.SerializerMethodField(help_text="`deleted`, `expired` or `key_ended`; null while open.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_currency(self, budget: Budget) -> str:
        return "USD"

    def get_state(self, budget: Budget) -> str:
        return "open" if budget.ended_at is None else "ended"

    def get_ended_reason(self, budget: Budget) -> str | None:
        return budget.ended_reason or None


class NewBudget(KnownFields, serializers.Serializer[Any]):
    """What POST /v1/budgets takes."""

    amount = ExactAmountField(help_text='USD, such as "5.00"; a cent at least.')
    expires_in = serializers.IntegerField(
        default=int(making.USUAL.total_seconds()),
        min_value=60,
        max_value=LONGEST_SECONDS,
        help_text=f"Seconds, from 60 to {LONGEST_SECONDS}; a day unless named.",
    )
    name = serializers.CharField(default="budget", max_length=making.NAME_LENGTH, help_text="`budget` unless named.")


class MadeBudget(BudgetSerializer):
    """The answer to a POST: the budget, with its key's text this once."""

    key = serializers.CharField(help_text="ck-..., shown this once.")


class BudgetAnswer(serializers.Serializer[Any]):
    """How one budget is answered."""

    data = BudgetSerializer()  # type: ignore[assignment]


class MadeAnswer(serializers.Serializer[Any]):
    """How a new budget is answered."""

    data = MadeBudget()  # type: ignore[assignment]


class BudgetsView(generics.GenericAPIView[Budget]):
    """Budgets, newest first; POST sets money aside."""

    serializer_class = BudgetSerializer

    def get_queryset(self) -> QuerySet[Budget]:
        if getattr(self, "swagger_fake_view", False):
            return Budget.objects.none()
        return Budget.objects.filter(customer=caller(self.request).customer).select_related("key")

    @extend_schema(operation_id="budgets_list", responses={200: BudgetSerializer(many=True)})
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(_shown(page))

    @extend_schema(operation_id="budgets_create", request=NewBudget, responses={201: MadeAnswer})
    def post(self, request: Request) -> Response:
        who, now = caller(request), timezone.now()

        def make(claim: Claim) -> Response:
            serializer = NewBudget(data=request.data)
            serializer.is_valid(raise_exception=True)
            given = serializer.validated_data
            answers: list[Response] = []

            def answer(made: Made) -> None:
                # It is kept with the budget that it tells of, as nothing else could tell the key's text again.
                claim.bind(str(made.budget.pk))
                log.note(
                    SecurityEvent.Kind.KEY_MADE,
                    request=request._request,
                    user=who.key.created_by,
                    key=made.budget.key,
                )
                [shown] = _shown([made.budget])
                answers.append(Response({"data": {"key": made.text, **shown}}, status=201))
                claim.store(answers[0])

            try:
                making.make(
                    customer=who.customer,
                    amount=making.amount_of(given["amount"]),
                    lasts=timedelta(seconds=given["expires_in"]),
                    name=given["name"],
                    now=database_now(),
                    made_with=who.key,
                    in_transaction=answer,
                )
            except BudgetError as error:
                status = STATUSES.get(error.code, 403)
                raise ApiError(str(error), status=status, code=error.code, param=error.field) from None
            return answers[0]

        def show(reference: str) -> Response:
            return Response({"data": _one(who, int(reference))}, status=201)

        return run_once(request, customer=who.customer, now=now, act=make, show=show)


class BudgetView(APIView):
    """One budget; a budget's own key may ask for it too."""

    @extend_schema(operation_id="budgets_retrieve", responses={200: BudgetAnswer})
    def get(self, request: Request, budget_id: int) -> Response:
        return Response({"data": _one(caller(request), budget_id)})

    @extend_schema(operation_id="budgets_destroy", responses={204: None})
    def delete(self, request: Request, budget_id: int) -> Response:
        """End it: its key ends, and what is left is available again. Again it changes nothing."""
        who = caller(request)
        budget = _find(who, budget_id)
        if Right.OTHERS_KEYS not in rights_of(who.role) and budget.key.created_by_id != who.key.created_by_id:
            words = "Only an owner's key may end budgets that others made."
            raise ApiError(words, status=403, code="key_not_allowed")
        if ending.end(budget_id=budget.pk, reason=Budget.Ended.DELETED, now=database_now()):
            log.note(SecurityEvent.Kind.KEY_DELETED, request=request._request, user=who.key.created_by, key=budget.key)
        return Response(status=204)


def _find(who: KeyCaller, budget_id: int) -> Budget:
    budget = None
    if budget_id < 2**63:
        found = Budget.objects.filter(customer=who.customer, pk=budget_id).select_related("key")
        # A key that may not read the account reads its own budget.
        budget = (found if Scope.READ in who.key.scopes else found.filter(key=who.key)).first()
    if budget is None:
        raise ApiError("There is no such budget.", status=404, code="not_found")
    return budget


def _one(who: KeyCaller, budget_id: int) -> Any:
    return _shown([_find(who, budget_id)])[0]


def of_key(key: ApiKey) -> Any:
    """The budget whose key it is, as it is shown; None for any other key."""
    budget = Budget.objects.filter(key=key).select_related("key").first()
    return None if budget is None else _shown([budget])[0]


def _shown(budgets: list[Budget]) -> list[Any]:
    figures = figures_of(budgets)
    for budget in budgets:
        budget.figures = figures[budget.pk]  # type: ignore[attr-defined]  # what the serializer reads
    return [BudgetSerializer(budget).data for budget in budgets]
