"""Automatic top-up: a means of payment that a provider keeps, and what an owner agreed to have charged to it."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from core.states import Machine
from payments.models.topups import Method


class SavedCard(models.Model):
    """A card that a provider keeps for a customer, and what people know it by. Its number never comes here."""

    class State(models.TextChoices):
        OPEN = "open", _("to be entered")
        KEPT = "kept", _("saved")
        LEAVING = "leaving", _("being removed")
        GONE = "gone", _("removed")

    MACHINE: ClassVar[Machine] = Machine(
        "saved card",
        State,
        starts=(State.OPEN,),
        ends=(State.KEPT, State.GONE),
        moves={
            State.KEPT: (State.OPEN,),
            # Nobody wants it any more; it may have been entered just then.
            State.LEAVING: (State.OPEN, State.KEPT),
            State.GONE: (State.OPEN, State.LEAVING),
        },
    )

    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="saved_cards", verbose_name=_("customer")
    )
    provider = models.CharField(_("provider"), max_length=10, choices=Method.choices)
    number = models.CharField(_("number"), max_length=32, unique=True, help_text=_("Ours, known to the provider."))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    request = models.JSONField(
        _("request"), default=dict, help_text=_("What the provider is asked, kept so that a repeat is the same.")
    )
    setup_reference = models.CharField(_("provider's page"), max_length=120, blank=True)
    setup_url = models.URLField(_("page to enter it on"), max_length=2000, blank=True)
    payer = models.CharField(_("provider's customer"), max_length=120, blank=True)
    reference = models.CharField(_("provider's means of payment"), max_length=120, blank=True)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=120, blank=True, help_text=_("The same wherever this card is entered.")
    )
    brand = models.CharField(_("brand"), max_length=30, blank=True)
    last4 = models.CharField(_("last digits"), max_length=4, blank=True)
    exp_month = models.PositiveSmallIntegerField(_("expires, month"), null=True, blank=True)
    exp_year = models.PositiveSmallIntegerField(_("expires, year"), null=True, blank=True)
    expires_at = models.DateTimeField(_("page ends at"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)
    look_at = models.DateTimeField(_("next look"), null=True, blank=True, help_text=_("Empty: nothing is to be done."))

    class Meta:
        verbose_name = _("saved card")
        verbose_name_plural = _("saved cards")
        indexes = [
            models.Index(fields=["customer", "-id"], name="savedcard_customer"),
            models.Index(fields=["look_at"], condition=Q(look_at__isnull=False), name="savedcard_look"),
            models.Index(fields=["fingerprint"], condition=~Q(fingerprint=""), name="savedcard_fingerprint"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="kept") | (~Q(reference="") & ~Q(payer="")), name="savedcard_kept_has_reference"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.brand.title()} ···· {self.last4}" if self.last4 else self.number


class AutoTopUp(models.Model):
    """What an owner agreed to: whenever the balance is below `threshold`, `amount` USD or what lifts it there are
    charged to the card, at most `ceiling` a month with fees, until `ends_at`. Other terms are another row.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waits for a card")
        ON = "on", _("on")
        OFF = "off", _("off")

    class Off(models.TextChoices):
        """Why it is off."""

        OWNER = "owner", _("switched off by an owner")
        REPLACED = "replaced", _("other terms were agreed to")
        NOT_SAVED = "not_saved", _("no card was saved")
        ENDED = "ended", _("its last day has passed")
        LEFT = "left", _("who agreed to it is no longer an owner")
        DECLINED = "declined", _("the card was declined")
        AUTHENTICATION = "authentication", _("the bank wants the card's holder to confirm")
        CARD_GONE = "card_gone", _("the card can no longer be charged")
        REFUSED = "refused", _("the payment provider refused the payment")
        DISPUTED = "disputed", _("a payment of this card is disputed")
        FRAUD_WARNING = "fraud_warning", _("a payment of this card was reported as fraud")

    class Wait(models.TextChoices):
        """Why nothing is charged now, though it is on."""

        ENOUGH = "enough", _("the balance is enough")
        SUSPENDED = "suspended", _("the account is suspended")
        DISPUTED = "disputed", _("a payment is disputed")
        REFUND = "refund", _("a refund is asked for")
        UNRESOLVED = "unresolved", _("a payment is on its way")
        TOO_SOON = "too_soon", _("the last payment is less than 10 minutes ago")
        CEILING = "ceiling", _("the month's ceiling is reached")
        DAILY_LIMIT = "daily_limit", _("the daily limit of new accounts is reached")
        METHOD_OFF = "method_off", _("card payments are switched off")
        TOO_MUCH = "too_much", _("the balance lacks more than one top-up may bring")

    MACHINE: ClassVar[Machine] = Machine(
        "automatic top-up",
        State,
        starts=(State.WAITING, State.ON),
        ends=(State.OFF,),
        moves={State.ON: (State.WAITING,), State.OFF: (State.WAITING, State.ON)},
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="auto_topups", verbose_name=_("customer")
    )
    card = models.ForeignKey(SavedCard, on_delete=models.PROTECT, related_name="auto_topups", verbose_name=_("card"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    amount = models.DecimalField(_("amount, USD"), max_digits=12, decimal_places=2)
    threshold = models.DecimalField(_("below, USD"), max_digits=12, decimal_places=2)
    ceiling = models.DecimalField(_("ceiling a month, USD"), max_digits=12, decimal_places=2)
    ends_at = models.DateTimeField(_("ends at"))
    consent = models.TextField(_("text agreed to"))
    consent_version = models.CharField(_("its version"), max_length=20)
    agreed_at = models.DateTimeField(_("agreed at"))
    agreed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", verbose_name=_("agreed by"))
    agreed_from = models.CharField(_("agreed from"), max_length=64, help_text=_("The address of the network."))
    waits = models.CharField(_("waits"), max_length=20, choices=Wait.choices, blank=True)
    off_reason = models.CharField(_("why it is off"), max_length=20, choices=Off.choices, blank=True)
    off_at = models.DateTimeField(_("off since"), null=True, blank=True)
    look_at = models.DateTimeField(_("next look"), null=True, blank=True)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)

    class Meta:
        verbose_name = _("automatic top-up")
        verbose_name_plural = _("automatic top-ups")
        indexes = [
            models.Index(fields=["customer", "-id"], name="autotopup_customer"),
            models.Index(fields=["look_at"], condition=Q(state="on"), name="autotopup_look"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["customer"], condition=Q(state="on"), name="autotopup_one_on"),
            models.UniqueConstraint(fields=["customer"], condition=Q(state="waiting"), name="autotopup_one_waiting"),
            models.CheckConstraint(
                condition=Q(amount__gt=0, threshold__gt=0, ceiling__gte=F("amount")), name="autotopup_amounts"
            ),
            models.CheckConstraint(
                condition=(Q(state="off") & ~Q(off_reason="") & Q(off_at__isnull=False))
                | (~Q(state="off") & Q(off_reason="", off_at__isnull=True)),
                name="autotopup_off_has_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state="on") | Q(look_at__isnull=False), name="autotopup_on_is_looked_at"
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="autotopup_consent_kept",
                fields=[
                    *("customer", "amount", "threshold", "ceiling", "ends_at"),
                    *("consent", "consent_version", "agreed_at", "agreed_by", "agreed_from"),
                ],
            ),
            pgtrigger.Protect(name="autotopup_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.customer}: {self.amount} below {self.threshold}"
