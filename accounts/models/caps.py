"""What may be spent: the same four caps of a key and of a member."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

CAPS = ("daily_limit", "weekly_limit", "monthly_limit", "total_limit")


def cap(name: _StrPromise) -> models.DecimalField[Decimal | None, Decimal | None]:
    """USD; null for none."""
    return models.DecimalField(name, max_digits=20, decimal_places=8, null=True, blank=True)


def sum_of_money() -> models.DecimalField[Decimal, Decimal]:
    """USD that a meter counts."""
    return models.DecimalField(max_digits=20, decimal_places=8, default=Decimal(0), db_default=Decimal(0))


def caps_not_negative(whose: str) -> list[models.CheckConstraint]:
    return [
        models.CheckConstraint(condition=Q(**{f"{name}__gte": 0}), name=f"{whose}_{name}_not_negative") for name in CAPS
    ]
