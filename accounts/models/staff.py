"""The rights of the staff, and what they did."""

from __future__ import annotations

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.people import Customer, User


class GivenRight(models.Model):
    """A right that a group of staff was given, so that what an operator takes away is not given back."""

    role = models.CharField(max_length=40)
    right = models.CharField(max_length=120, help_text=_("app.model.codename"))

    class Meta:
        verbose_name = _("given right")
        verbose_name_plural = _("given rights")
        constraints = [models.UniqueConstraint(fields=["role", "right"], name="given_right_once")]

    def __str__(self) -> str:
        return f"{self.role}: {self.right}"


class StaffAction(models.Model):
    """What one of the staff did at the desk, to what, why and from where. Never changed, never deleted.

    `before` and `after` hold the fields that differ, as text; rows that went along stand under "app.model id".
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", verbose_name=_("who"))
    action = models.CharField(_("action"), max_length=60, help_text=_("Such as change, suspend or approve."))
    object_type = models.CharField(_("kind of object"), max_length=60, help_text=_("Such as billing.refundrequest."))
    object_id = models.CharField(_("object's id"), max_length=60)
    object_text = models.CharField(_("object"), max_length=200)
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("customer")
    )
    text = models.TextField(_("what"), blank=True)
    why = models.TextField(_("why"), blank=True)
    before = models.JSONField(_("before"), default=dict, encoder=DjangoJSONEncoder)
    after = models.JSONField(_("after"), default=dict, encoder=DjangoJSONEncoder)
    address = models.CharField(_("from where"), max_length=45, blank=True)
    at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        verbose_name = _("staff action")
        verbose_name_plural = _("staff actions")
        indexes = [models.Index(fields=["object_type", "object_id"], name="staffaction_object")]
        triggers = [
            pgtrigger.Protect(name="staffaction_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
            pgtrigger.Trigger(
                name="staffaction_no_truncate",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'staff actions are append-only';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_text}"
