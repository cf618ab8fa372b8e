"""Groups of customers: at which factor of the price, which models they see, how often they may ask."""

from __future__ import annotations

from collections.abc import Set
from decimal import Decimal

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models as db
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

MOVES_VERSIONS = """
WITH named AS (
  SELECT m.customer_id FROM accounts_customermeter m JOIN accounts_customer u ON u.id = m.customer_id
  WHERE u."group" = ANY(ARRAY[{names}]) ORDER BY m.customer_id FOR NO KEY UPDATE OF m
)
UPDATE accounts_customermeter m SET version = m.version + 1 FROM named WHERE m.customer_id = named.customer_id;
RETURN NULL;
"""
"""Gateways read a policy again when its version has moved. Meters are locked by id, as everywhere."""


def _moving(name: str, operation: pgtrigger.Operation, names: str) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name, when=pgtrigger.After, operation=operation, func=MOVES_VERSIONS.format(names=names)
    )


class CustomerGroup(db.Model):
    """What holds for the customers whose `group` has this name; a name without a row is a group without rules."""

    name = db.CharField(_("name"), max_length=50, unique=True)
    factor = db.DecimalField(
        _("factor"),
        max_digits=7,
        decimal_places=4,
        default=Decimal(1),
        help_text=_("A request costs its price times this: 0.9 is ten percent off."),
    )
    models = ArrayField(
        db.CharField(max_length=200),
        default=list,
        blank=True,
        verbose_name=_("models"),
        help_text=_("Which they see and may call, by id or bare name, with commas. Empty: all."),
    )
    rpm_limit = db.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        help_text=_("Of each customer that has none of its own. Empty: the default. 0: no limit."),
    )

    class Meta:
        verbose_name = _("customer group")
        verbose_name_plural = _("customer groups")
        constraints = [
            db.CheckConstraint(condition=Q(factor__gte=Decimal("0.01"), factor__lte=100), name="group_factor_sane")
        ]
        triggers = [
            _moving("group_made", pgtrigger.Insert, "NEW.name"),
            _moving("group_changed", pgtrigger.Update, "OLD.name, NEW.name"),
            _moving("group_ended", pgtrigger.Delete, "OLD.name"),
        ]

    def __str__(self) -> str:
        return self.name

    def sees(self, names: Set[str]) -> bool:
        """Whether a model of these names, its id and aliases, is on offer to its customers."""
        return not self.models or not names.isdisjoint(self.models)


NO_GROUP = CustomerGroup(name="default")


def group_of(name: str) -> CustomerGroup:
    """The rules of a customer's group; none where it has no row."""
    return CustomerGroup.objects.filter(name=name).first() or NO_GROUP
