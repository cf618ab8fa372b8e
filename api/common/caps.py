"""Caps as programs are shown them, each with what is spent of it and when it begins anew: of keys and of members."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.limits.figures import Figure, figures_now
from accounts.limits.periods import Period
from accounts.models import ApiKey, Membership
from billing.books.money import api_amount

NAMES = ("daily", "weekly", "monthly", "total")
"""Of the caps by `Period`."""
LIMIT_FIELDS = tuple(f"{name}_{what}" for name in NAMES for what in ("limit", "spent", "resets_at"))


def limits_of(owner: ApiKey | Membership) -> dict[str, str | None]:
    """What `LIMIT_FIELDS` name, as the API writes them."""
    found: dict[str, str | None] = {}
    for name, figure in zip(NAMES, _figures(owner), strict=True):
        found[f"{name}_limit"] = None if figure.limit is None else api_amount(figure.limit)
        found[f"{name}_spent"] = api_amount(figure.spent)
        found[f"{name}_resets_at"] = None if figure.resets_at is None else f"{figure.resets_at:%Y-%m-%dT%H:%M:%SZ}"
    return found


def _figures(owner: ApiKey | Membership) -> tuple[Figure, ...]:
    """Worked out once for each row that is shown."""
    found: tuple[Figure, ...] | None = getattr(owner, "_figures", None)
    if found is None:
        found = figures_now(owner, now=timezone.now())
        owner._figures = found  # type: ignore[union-attr]
    return found


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,8})?$"},
            {"type": "number", "minimum": 0, "maximum": 999_999_999_999},
        ]
    }
)
class CapField(serializers.DecimalField):
    """USD in one period; null for no cap."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            max_digits=20,
            decimal_places=8,
            min_value=Decimal(0),
            required=False,
            allow_null=True,
            help_text="USD that may be spent in that period; null for no cap.",
            **options,
        )


class SpentField(serializers.DecimalField):
    """USD that are charged or held in the period that runs."""

    def __init__(self, period: Period, **options: Any) -> None:
        super().__init__(max_digits=20, decimal_places=8, read_only=True, **options)
        self.period = period

    def get_attribute(self, instance: ApiKey | Membership) -> Decimal:
        return _figures(instance)[self.period].spent


class ResetField(serializers.DateTimeField):
    """When that period is over; null for all time."""

    def __init__(self, period: Period, **options: Any) -> None:
        super().__init__(read_only=True, allow_null=True, **options)
        self.period = period

    def get_attribute(self, instance: ApiKey | Membership) -> datetime | None:
        return _figures(instance)[self.period].resets_at
