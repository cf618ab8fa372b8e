"""What keys, members and customers have done lately: narrow rows that change with each request."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.caps import sum_of_money
from accounts.models.keys import ApiKey
from accounts.models.people import Customer, Membership


class SpendingMeter(models.Model):
    """What was spent, in USD: on `day`, the last one that something was counted on, in its week, its month, and in all.

    A day is a local date of the account's zone; a week begins on its Monday, a month on its first. `..._spent` is what
    is held or charged, `..._charged` what is charged of it. They change only under the customer's wallet lock.
    """

    day = models.DateField()
    day_spent = sum_of_money()
    week_spent = sum_of_money()
    month_spent = sum_of_money()
    total_spent = sum_of_money()
    day_charged = sum_of_money()
    week_charged = sum_of_money()
    month_charged = sum_of_money()
    total_charged = sum_of_money()

    class Meta:
        abstract = True


class KeyMeter(SpendingMeter):
    """What a key has done lately: requests in five-second slots, and spend. One narrow row.

    `version`, `active` and `member_id`, the membership of who made the key, follow the key by trigger.
    """

    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, primary_key=True, related_name="meter")
    customer_id = models.BigIntegerField()
    version = models.IntegerField(default=1)
    active = models.BooleanField(default=True)
    slot = models.BigIntegerField(default=0, help_text=_("Number of the newest five-second slot since 1970."))
    slots = ArrayField(models.IntegerField(), help_text=_("Requests by slot number modulo 13."))
    member_id = models.BigIntegerField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("key meter")
        verbose_name_plural = _("key meters")

    def __str__(self) -> str:
        return f"meter of key {self.key_id}"


class MemberMeter(SpendingMeter):
    """What all keys of a member have spent together. It is there while the member has a cap."""

    membership = models.OneToOneField(Membership, on_delete=models.CASCADE, primary_key=True, related_name="meter")
    customer_id = models.BigIntegerField()

    class Meta:
        verbose_name = _("member meter")
        verbose_name_plural = _("member meters")

    def __str__(self) -> str:
        return f"meter of member {self.membership_id}"


class AccountMeter(models.Model):
    """What is charged to an account in `month`, USD. It is there while the account has a budget to be warned of.

    A month is a local one of the account's zone, by its first date. It changes only under the wallet's lock.
    """

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="month_meter")
    month = models.DateField()
    charged = sum_of_money()

    class Meta:
        verbose_name = _("account meter")
        verbose_name_plural = _("account meters")

    def __str__(self) -> str:
        return f"meter of account {self.customer_id}"


class CustomerMeter(models.Model):
    """What a customer has asked for lately, in all and by model, in five-second slots. One narrow row."""

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="meter")
    version = models.IntegerField(default=1)
    suspended = models.BooleanField(default=False)
    slot = models.BigIntegerField(default=0)
    slots = ArrayField(models.IntegerField())
    warns = models.BooleanField(
        default=False, db_default=False, help_text=_("Its owners want to be warned as caps or a budget are used up.")
    )
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
