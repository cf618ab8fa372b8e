"""The keys that spend (ApiKey), and their former texts."""

from __future__ import annotations

from datetime import datetime

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.caps import cap, caps_not_negative
from accounts.models.children import CHILDREN_MOVE, counts_itself
from accounts.models.people import Customer, User
from accounts.roles import ALL_SCOPES, DEFAULT_SCOPES, Scope

MEMBER = (
    "(SELECT s.id FROM accounts_membership s WHERE s.user_id = NEW.created_by_id AND s.customer_id = NEW.customer_id"
    f" AND {counts_itself('NEW.id')})"
)
"""Who made the key, as the meter names them."""


def default_scopes() -> list[str]:
    return [str(scope) for scope in DEFAULT_SCOPES]


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def expired_untold(self) -> ApiKeyQuerySet:
        """Those whose expiry nobody was told of yet: it may lie ahead."""
        untold = models.Q(expiry_told__isnull=True) | ~models.Q(expiry_told=models.F("expires_at"))
        return self.filter(untold, deleted_at__isnull=True, expires_at__isnull=False)


class ApiKey(models.Model):
    """A `ck-` key. Only its SHA-256 is kept; every change of a row moves its meter's version (a trigger)."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="keys", verbose_name=_("customer"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=12, db_index=True)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    expiry_told = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("The expiry that the outbox was told of, once it was over.")
    )
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True, verbose_name=_("models"))
    allowed_ips = ArrayField(models.CharField(max_length=50), default=list, blank=True, verbose_name=_("addresses"))
    rpm_limit = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, help_text=_("Empty: the default. 0: no limit.")
    )
    concurrency_limit = models.PositiveIntegerField(
        _("requests at once"), null=True, blank=True, help_text=_("Empty: no limit.")
    )
    daily_limit = cap(_("daily cap, USD"))
    weekly_limit = cap(_("weekly cap, USD"))
    monthly_limit = cap(_("monthly cap, USD"))
    total_limit = cap(_("total cap, USD"))
    scopes = ArrayField(
        models.CharField(max_length=20, choices=[(scope.value, scope.value) for scope in Scope]),
        default=default_scopes,
        verbose_name=_("scopes"),
    )
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("made by")
    )
    by_operator = models.BooleanField(
        _("made by the operator"), default=False, help_text=_("Not by a member, whose role would bound it.")
    )
    known_to = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("known to"),
        help_text=_("Who left the account and knows the key's text."),
    )
    rotate_by = models.DateTimeField(
        _("rotate by"), null=True, blank=True, help_text=_("It ends then at the latest: somebody who left knows it.")
    )
    own_expiry = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("When it expires once nobody who left knows it.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(deleted_at__isnull=True, expires_at__isnull=False)
                & (models.Q(expiry_told__isnull=True) | ~models.Q(expiry_told=models.F("expires_at"))),
                name="key_to_expire",
            )
        ]
        constraints = [
            *caps_not_negative("key"),
            models.CheckConstraint(condition=models.Q(concurrency_limit__gte=1), name="key_concurrency_limit_positive"),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True) | models.Q(is_active=False), name="key_deleted_is_inactive"
            ),
            models.CheckConstraint(
                condition=models.Q(rotate_by__isnull=True)
                | models.Q(expires_at__isnull=False, expires_at__lte=models.F("rotate_by")),
                name="key_known_to_others_ends",
            ),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=[scope.value for scope in ALL_SCOPES]), name="key_scopes_known"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="key_rotated_is_its_keepers",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.sha256 <> NEW.sha256 AND OLD.rotate_by IS NOT NULL"),
                func="NEW.known_to_id = NULL; NEW.rotate_by = NULL;"
                " IF NEW.expires_at IS NOT DISTINCT FROM OLD.expires_at THEN NEW.expires_at = OLD.own_expiry; END IF;"
                " NEW.own_expiry = NULL; RETURN NEW;",
            ),
            pgtrigger.Trigger(
                name="key_opens_meter",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func="INSERT INTO accounts_keymeter"
                " (key_id, customer_id, version, active, slot, slots, day, day_spent, total_spent, member_id)"
                " VALUES (NEW.id, NEW.customer_id, 1, NEW.is_active, 0, array_fill(0, ARRAY[13]), '2000-01-01', 0, 0,"
                f" {MEMBER}); RETURN NULL;",
            ),
            pgtrigger.Trigger(
                name="key_policy_version",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                func="UPDATE accounts_keymeter SET version = version + 1, active = NEW.is_active,"
                f" member_id = {MEMBER} WHERE key_id = NEW.id; {CHILDREN_MOVE}; RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    def is_usable(self, *, now: datetime) -> bool:
        return self.is_active and (self.expires_at is None or self.expires_at > now)


class FormerText(models.Model):
    """The text that a key had before it was rotated: it works, as the key does, until its overlap ends."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="former_texts", verbose_name=_("API key"))
    prefix = models.CharField(_("prefix"), max_length=12)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    works_until = models.DateTimeField(_("works until"), db_index=True)

    class Meta:
        verbose_name = _("former text of a key")
        verbose_name_plural = _("former texts of keys")

    def __str__(self) -> str:
        return f"{self.prefix}…"
