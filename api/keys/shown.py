"""A key as programs are shown it, with what it has spent of each cap."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework import serializers

from accounts.keys.policies import InvalidPolicy, model_names, networks
from accounts.limits.periods import Period
from accounts.models import ApiKey, FormerText
from accounts.roles import Scope
from api.common.caps import LIMIT_FIELDS, CapField, ResetField, SpentField
from api.common.known import KnownFields

MOST_RPM = 2**31 - 1


def rows() -> QuerySet[ApiKey]:
    """Keys with what is shown of each."""
    working = FormerText.objects.filter(works_until__gt=Now()).order_by("works_until")
    former = Prefetch("former_texts", queryset=working)
    return ApiKey.objects.select_related("meter", "customer", "known_to").prefetch_related(former)


class FormerTextSerializer(serializers.ModelSerializer[FormerText]):
    """A text that the key had before it was rotated, as far as it still works."""

    key_prefix = serializers.CharField(source="prefix", read_only=True)

    class Meta:
        model = FormerText
        fields = ("key_prefix", "works_until")


class KeySerializer(KnownFields, serializers.ModelSerializer[ApiKey]):
    """A key as its customer sees it. Amounts in USD; null means no limit of its own."""

    id = serializers.CharField(read_only=True)
    known_to = serializers.CharField(
        source="known_to.email",
        read_only=True,
        allow_null=True,
        default=None,
        help_text="Who left the account and knows the key's text.",
    )
    key_prefix = serializers.CharField(source="prefix", read_only=True)
    last_used_at = serializers.DateTimeField(source="meter.last_used_at", read_only=True, allow_null=True)
    spent = serializers.DecimalField(
        source="meter.total_spent",
        max_digits=20,
        decimal_places=8,
        read_only=True,
        help_text="Spent or held since the key was made.",
    )
    name = serializers.CharField(max_length=100, help_text="What you call it.")
    is_active = serializers.BooleanField(required=False, help_text="Whether it works; `true` unless named.")
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="From when on it works no more; null for never."
    )
    allowed_models = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Ids, bare names, or wildcards such as `anthropic/*` and `*-mini`; all models where it is empty.",
    )
    allowed_ips = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Addresses and networks, such as `192.0.2.0/24`; from anywhere where it is empty.",
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField([scope.value for scope in Scope]),
        required=False,
        help_text="What the key may be used for; `inference` and `read` unless named.",
    )
    rpm_limit = serializers.IntegerField(
        min_value=0,
        max_value=MOST_RPM,
        required=False,
        allow_null=True,
        help_text="Requests a minute; null for the site's usual rate, 0 for no limit.",
    )
    concurrency_limit = serializers.IntegerField(
        min_value=1, max_value=MOST_RPM, required=False, allow_null=True, help_text="Requests under way at once."
    )
    daily_limit, daily_spent, daily_resets_at = CapField(), SpentField(Period.DAY), ResetField(Period.DAY)
    weekly_limit, weekly_spent, weekly_resets_at = CapField(), SpentField(Period.WEEK), ResetField(Period.WEEK)
    monthly_limit, monthly_spent, monthly_resets_at = CapField(), SpentField(Period.MONTH), ResetField(Period.MONTH)
    total_limit, total_spent, total_resets_at = CapField(), SpentField(Period.TOTAL), ResetField(Period.TOTAL)
    time_zone = serializers.CharField(
        source="customer.time_zone", read_only=True, help_text="Of the account: its days begin at midnight there."
    )
    member_id = serializers.CharField(
        source="meter.member_id", read_only=True, allow_null=True, help_text="Who made it; null for the operator."
    )
    former_texts = FormerTextSerializer(many=True, read_only=True)

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = (
            "id",
            "key_prefix",
            "name",
            "is_active",
            "expires_at",
            "allowed_models",
            "allowed_ips",
            "scopes",
            "rpm_limit",
            "concurrency_limit",
            *LIMIT_FIELDS,
            "time_zone",
            "spent",
            "member_id",
            "former_texts",
            "created_at",
            "last_used_at",
            "known_to",
            "rotate_by",
        )
        read_only_fields = ("created_at", "rotate_by")

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This lies in the past.")
        return value

    def validate_allowed_models(self, value: list[str]) -> list[str]:
        return self._checked(model_names, value)

    def validate_scopes(self, value: list[str]) -> list[str]:
        if not value:
            raise serializers.ValidationError("A key has at least one scope.")
        return list(dict.fromkeys(value))

    def validate_allowed_ips(self, value: list[str]) -> list[str]:
        return self._checked(networks, value)

    @staticmethod
    def _checked(check: Any, value: list[str]) -> list[str]:
        try:
            items: list[str] = check(value)
        except InvalidPolicy as error:
            raise serializers.ValidationError(str(error)) from None
        return items


class KeyAnswer(serializers.Serializer[Any]):
    """How one key is answered."""

    data = KeySerializer()  # type: ignore[assignment]


class NewKeySerializer(KeySerializer):
    """The answer to a POST: the key, with its text this once."""

    key = serializers.CharField(read_only=True, help_text="ck-..., shown this once.")

    class Meta(KeySerializer.Meta):
        fields = ("key", *KeySerializer.Meta.fields)


class NewKeyAnswer(serializers.Serializer[Any]):
    """The answer that has a key's text."""

    data = NewKeySerializer()  # type: ignore[assignment]
