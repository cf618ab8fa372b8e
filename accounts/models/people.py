"""Who uses Chuizi: people (User), the accounts they spend from (Customer), and who belongs to which (Membership)."""

from __future__ import annotations

from typing import Any, ClassVar

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.caps import cap, caps_not_negative
from accounts.models.children import counts_itself


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
    time_zone = models.CharField(
        _("time zone"),
        max_length=50,
        default="UTC",
        db_default="UTC",
        help_text=_("Its days, weeks and months begin at midnight there: an IANA name, such as Asia/Shanghai."),
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

    Its caps, in USD, are for all keys that the member made, together; `billing/limits/members.py` sets them.
    """

    class Role(models.TextChoices):
        OWNER = "owner", _("Owner")
        DEVELOPER = "developer", _("Developer")
        VIEWER = "viewer", _("Viewer")

    user = models.ForeignKey(User, on_delete=models.CASCADE, verbose_name=_("user"))
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, verbose_name=_("customer"))
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.OWNER)
    daily_limit = cap(_("daily cap, USD"))
    weekly_limit = cap(_("weekly cap, USD"))
    monthly_limit = cap(_("monthly cap, USD"))
    total_limit = cap(_("total cap, USD"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "customer"], name="membership_once"),
            *caps_not_negative("membership"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="membership_policy_version",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                func="PERFORM 1 FROM accounts_keymeter m JOIN accounts_apikey k ON k.id = m.key_id"
                " WHERE k.created_by_id IN (OLD.user_id, NEW.user_id)"
                " AND k.customer_id IN (OLD.customer_id, NEW.customer_id) ORDER BY m.key_id FOR NO KEY UPDATE OF m;"
                " UPDATE accounts_keymeter m SET version = m.version + 1, member_id = (SELECT s.id FROM"
                " accounts_membership s WHERE s.user_id = k.created_by_id AND s.customer_id = k.customer_id"
                f" AND {counts_itself('k.id')})"
                " FROM accounts_apikey k WHERE m.key_id = k.id AND k.created_by_id IN (OLD.user_id, NEW.user_id)"
                " AND k.customer_id IN (OLD.customer_id, NEW.customer_id); RETURN NULL;",
            ),
            # At the end of the transaction, one transaction after another: two owners who demote each other at once
            # would each still see the other one.
            pgtrigger.Trigger(
                name="membership_leaves_an_owner",
                when=pgtrigger.After,
                operation=pgtrigger.Update | pgtrigger.Delete,
                timing=pgtrigger.Deferred,
                condition=pgtrigger.Condition("OLD.role = 'owner'"),
                func="PERFORM 1 FROM accounts_customer WHERE id = OLD.customer_id FOR NO KEY UPDATE;"
                " IF EXISTS (SELECT FROM accounts_membership WHERE customer_id = OLD.customer_id) AND NOT EXISTS"
                " (SELECT FROM accounts_membership WHERE customer_id = OLD.customer_id AND role = 'owner') THEN"
                " RAISE EXCEPTION 'an account has at least one owner' USING ERRCODE = 'check_violation',"
                " CONSTRAINT = 'membership_leaves_an_owner'; END IF; RETURN NULL;",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} - {self.customer}"
