"""Who uses Chuizi: people (User), the accounts they spend from (Customer), and the keys that spend (ApiKey)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.groups import CustomerGroup  # noqa: F401 - a table of this app
from accounts.roles import ALL_SCOPES, DEFAULT_SCOPES, Scope
from accounts.security.events import SecurityEvent as SecurityEvent


def default_scopes() -> list[str]:
    return [str(scope) for scope in DEFAULT_SCOPES]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who logs in with an email address."""

    email = models.EmailField(_("email address"), unique=True)
    name = models.CharField(_("name"), max_length=150, blank=True)
    language = models.CharField(_("language"), max_length=10, default="en")
    is_staff = models.BooleanField(_("staff"), default=False, help_text=_("May log in to the admin."))
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_lower")]

    def __str__(self) -> str:
        return self.email


class Customer(models.Model):
    """An account that holds a wallet; its members manage it and its keys spend from it."""

    name = models.CharField(_("name"), max_length=150)
    group = models.CharField(_("group"), max_length=50, default="default")
    rpm_limit = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, help_text=_("Empty: the default. 0: no limit.")
    )
    suspended_at = models.DateTimeField(_("suspended at"), null=True, blank=True)
    suspended_reason = models.CharField(_("reason for suspension"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)

    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="customers"
    )

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        triggers = [
            pgtrigger.Trigger(
                name="customer_opens_meter",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func="INSERT INTO accounts_customermeter (customer_id, version, suspended, slot, slots, by_model)"
                " VALUES (NEW.id, 1, NEW.suspended_at IS NOT NULL, 0, array_fill(0, ARRAY[13]), '{}'); RETURN NULL;",
            ),
            pgtrigger.Trigger(
                name="customer_policy_version",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                func="UPDATE accounts_customermeter SET version = version + 1,"
                " suspended = NEW.suspended_at IS NOT NULL WHERE customer_id = NEW.id; RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None


class Membership(models.Model):
    """A user's part in a customer; `accounts.roles` says what each role may do. A change moves the versions of the
    member's keys, so that it counts from the next request (a trigger).
    """

    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        DEVELOPER = "developer", _("Developer")
        VIEWER = "viewer", _("Viewer")

    user = models.ForeignKey(User, on_delete=models.CASCADE, verbose_name=_("user"))
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, verbose_name=_("customer"))
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.OWNER)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["user", "customer"], name="membership_once")]
        triggers = [
            pgtrigger.Trigger(
                name="membership_policy_version",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="UPDATE accounts_keymeter m SET version = m.version + 1 FROM accounts_apikey k"
                " WHERE m.key_id = k.id AND k.created_by_id IN (OLD.user_id, NEW.user_id)"
                " AND k.customer_id IN (OLD.customer_id, NEW.customer_id); RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} - {self.customer}"


class ApiKey(models.Model):
    """A `ck-` key. Only its SHA-256 is kept; every change of a row moves its meter's version (a trigger)."""

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="keys", verbose_name=_("customer"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=12, db_index=True)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    is_active = models.BooleanField(_("active"), default=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    allowed_models = ArrayField(models.CharField(max_length=200), default=list, blank=True, verbose_name=_("models"))
    allowed_ips = ArrayField(models.CharField(max_length=50), default=list, blank=True, verbose_name=_("addresses"))
    rpm_limit = models.PositiveIntegerField(
        _("requests per minute"), null=True, blank=True, help_text=_("Empty: the default. 0: no limit.")
    )
    daily_limit = models.DecimalField(_("daily cap, USD"), max_digits=20, decimal_places=8, null=True, blank=True)
    total_limit = models.DecimalField(_("total cap, USD"), max_digits=20, decimal_places=8, null=True, blank=True)
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
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        constraints = [
            models.CheckConstraint(condition=models.Q(daily_limit__gte=0), name="key_daily_limit_not_negative"),
            models.CheckConstraint(condition=models.Q(total_limit__gte=0), name="key_total_limit_not_negative"),
            models.CheckConstraint(
                condition=models.Q(deleted_at__isnull=True) | models.Q(is_active=False), name="key_deleted_is_inactive"
            ),
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=[scope.value for scope in ALL_SCOPES]), name="key_scopes_known"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="key_opens_meter",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func="INSERT INTO accounts_keymeter"
                " (key_id, customer_id, version, active, slot, slots, day, day_spent, total_spent)"
                " VALUES (NEW.id, NEW.customer_id, 1, NEW.is_active, 0, array_fill(0, ARRAY[13]), '2000-01-01', 0, 0);"
                " RETURN NULL;",
            ),
            pgtrigger.Trigger(
                name="key_policy_version",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                func="UPDATE accounts_keymeter SET version = version + 1, active = NEW.is_active"
                " WHERE key_id = NEW.id; RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    def is_usable(self, *, now: datetime) -> bool:
        return self.is_active and (self.expires_at is None or self.expires_at > now)


class KeyMeter(models.Model):
    """What a key has done lately: requests in five-second slots, and spend, held amounts included. One narrow row.

    Its counters change only under the customer's wallet lock; `version` and `active` follow the key by trigger.
    """

    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, primary_key=True, related_name="meter")
    customer_id = models.BigIntegerField()
    version = models.IntegerField(default=1)
    active = models.BooleanField(default=True)
    slot = models.BigIntegerField(default=0, help_text=_("Number of the newest five-second slot since 1970."))
    slots = ArrayField(models.IntegerField(), help_text=_("Requests by slot number modulo 13."))
    day = models.DateField()
    day_spent = models.DecimalField(max_digits=20, decimal_places=8)
    total_spent = models.DecimalField(max_digits=20, decimal_places=8)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("key meter")
        verbose_name_plural = _("key meters")

    def __str__(self) -> str:
        return f"meter of key {self.key_id}"


class CustomerMeter(models.Model):
    """What a customer has asked for lately, in all and by model, in five-second slots. One narrow row."""

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="meter")
    version = models.IntegerField(default=1)
    suspended = models.BooleanField(default=False)
    slot = models.BigIntegerField(default=0)
    slots = ArrayField(models.IntegerField())
    by_model = models.JSONField(
        default=dict, help_text=_('{"model": [slot, [13 counts]]}, only of models asked for within the last minute.')
    )

    class Meta:
        verbose_name = _("customer meter")
        verbose_name_plural = _("customer meters")

    def __str__(self) -> str:
        return f"meter of customer {self.customer_id}"


class ApiRate(models.Model):
    """What was asked lately of the account API, and the forms that a person sent, in five-second slots (unlogged)."""

    who = models.CharField(max_length=60, primary_key=True)
    slot = models.BigIntegerField(default=0)
    slots = ArrayField(models.IntegerField())

    class Meta:
        verbose_name = _("rate of the account API")
        verbose_name_plural = _("rates of the account API")

    def __str__(self) -> str:
        return self.who


class WelcomedAddress(models.Model):
    """A keyed hash of each address that has had the welcome credit; it survives the deletion of the account."""

    address_hash = models.CharField(_("hash of the address"), max_length=64, unique=True)
    network_hash = models.CharField(_("hash of the network"), max_length=64, db_index=True, blank=True)
    granted_at = models.DateTimeField(_("granted at"), default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("welcomed address")
        verbose_name_plural = _("welcomed addresses")

    def __str__(self) -> str:
        return self.address_hash[:12]


class IdempotentAnswer(models.Model):
    """The first answer to a POST that carried an `Idempotency-Key`, for 24 hours, encrypted."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
    route = models.CharField(max_length=120, help_text=_("Method and path."))
    key_hash = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True, help_text=_("Empty while the first request is at work."))
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("idempotent answer")
        verbose_name_plural = _("idempotent answers")
        constraints = [models.UniqueConstraint(fields=["customer", "route", "key_hash"], name="idempotent_answer_once")]

    def __str__(self) -> str:
        return f"{self.route} {self.key_hash[:8]}"


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
