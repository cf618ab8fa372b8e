"""Endpoints that customers' programs listen at, what is to be delivered to each, and how each attempt went."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from core.crypto import EncryptedTextField
from core.states import Machine
from webhooks.kinds import EVENTS

LATE_AFTER = timedelta(minutes=5)
"""How long a delivery that is due may wait for a worker before staff hear of it."""


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def of(self, customer_id: int) -> EndpointQuerySet:
        """A customer's own, the deleted ones left out."""
        return self.filter(customer_id=customer_id, deleted_at__isnull=True)

    def working(self) -> EndpointQuerySet:
        """Those that deliveries go to."""
        return self.filter(deleted_at__isnull=True, off_at__isnull=True)


class Endpoint(models.Model):
    """An address that events are posted to. A deleted one stays until its deliveries are forgotten, without secrets."""

    class Off(models.TextChoices):
        OWNER = "owner", _("switched off by an owner")
        GONE = "gone", _("it answered 410: it is gone")
        KNOWN = "known", _("somebody who is no owner any more knew its secret")
        FAILING = "failing", _("every delivery failed for 3 days")

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+", verbose_name=_("customer"))
    number = models.CharField(_("number"), max_length=32, unique=True, help_text=_("Ours, known over the API."))
    url = EncryptedTextField(_("address"), help_text=_("It may hold a password of its owner's."))
    description = models.CharField(_("description"), max_length=200, blank=True)
    events = ArrayField(models.CharField(max_length=32), verbose_name=_("events"))
    secret = EncryptedTextField(editable=False)
    old_secret = EncryptedTextField(editable=False, blank=True, help_text=_("Signs too, until it is over."))
    old_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    off_at = models.DateTimeField(_("off since"), null=True, blank=True)
    off_why = models.CharField(_("why it is off"), max_length=10, choices=Off.choices, blank=True)
    failing_since = models.DateTimeField(
        _("failing since"), null=True, blank=True, help_text=_("Nothing was delivered from then on.")
    )
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("made by")
    )
    shown_to = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("secret shown to"),
        help_text=_("Who made it, or rotated its secret last."),
    )
    known_to = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("known to"),
        help_text=_("Who is no owner any more and knows its secret."),
    )
    rotate_by = models.DateTimeField(
        _("rotate its secret by"), null=True, blank=True, help_text=_("It is switched off then.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")
        indexes = [
            models.Index(fields=["customer", "-id"], name="endpoint_customer"),
            models.Index(
                fields=["failing_since"],
                condition=Q(failing_since__isnull=False, off_at__isnull=True, deleted_at__isnull=True),
                name="endpoint_failing",
            ),
            models.Index(fields=["rotate_by"], condition=Q(rotate_by__isnull=False), name="endpoint_known"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(off_at__isnull=True, off_why="") | (Q(off_at__isnull=False) & ~Q(off_why="")),
                name="endpoint_off_has_a_why",
            ),
            models.CheckConstraint(condition=Q(events__len__gt=0), name="endpoint_wants_something"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def is_active(self) -> bool:
        return self.off_at is None and self.deleted_at is None

    @property
    def wants_all(self) -> bool:
        return set(self.events) >= set(EVENTS)

    @property
    def place(self) -> str:
        """The address without what may be a password, for whoever is not its owner."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def standing_still(self, *, now: datetime) -> DeliveryQuerySet:
        """Those that are long due and that nobody takes: no worker is there."""
        waiting = self.filter(state=Delivery.State.WAITING, send_at__lt=now - LATE_AFTER)
        # A failing endpoint is tried one delivery at a time, so its others may wait long.
        return waiting.filter(endpoint__failing_since__isnull=True)


class Delivery(models.Model):
    """One event for one endpoint, in its final words: `body` is posted as it stands, the same at each attempt."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")
        DROPPED = "dropped", _("not sent")

    MACHINE: ClassVar[Machine] = Machine(
        "webhook delivery",
        State,
        starts=(State.WAITING,),
        ends=(State.DELIVERED, State.FAILED, State.DROPPED),
        moves={
            # A post may have been under way when it was given up.
            State.DELIVERED: (State.WAITING, State.FAILED, State.DROPPED),
            State.FAILED: (State.WAITING,),
            # Its endpoint was switched off, or deleted.
            State.DROPPED: (State.WAITING,),
            # Somebody has it sent again.
            State.WAITING: (State.DELIVERED, State.FAILED, State.DROPPED),
        },
    )

    endpoint = models.ForeignKey(
        Endpoint, on_delete=models.PROTECT, db_index=False, related_name="deliveries", verbose_name=_("endpoint")
    )
    number = models.CharField(_("number"), max_length=32, unique=True, help_text=_("Ours, known over the API."))
    message_id = models.CharField(_("message id"), max_length=40, help_text=_("The fact's: the same at each attempt."))
    event = models.CharField(_("event"), max_length=32)
    body = models.TextField(_("text"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    is_test = models.BooleanField(_("test"), default=False, help_text=_("Of the owner's asking: tried once."))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, help_text=_("Since it was sent anew."))
    send_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text=_("A worker is posting it."))
    created_at = models.DateTimeField(_("written at"), default=timezone.now)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook delivery")
        verbose_name_plural = _("webhook deliveries")
        indexes = [
            models.Index(fields=["endpoint", "-id"], name="delivery_endpoint"),
            models.Index(fields=["endpoint", "send_at"], condition=Q(state="waiting"), name="delivery_to_send"),
            models.Index(fields=["endpoint"], condition=Q(claimed_until__isnull=False), name="delivery_claimed"),
            models.Index(fields=["created_at"], name="delivery_created_at"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "message_id"], name="delivery_once_an_endpoint"),
            models.CheckConstraint(
                condition=Q(state="waiting", send_at__isnull=False) | (~Q(state="waiting") & Q(send_at__isnull=True)),
                name="delivery_waits_for_its_turn",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.number}"


class Attempt(models.Model):
    """How one attempt went. `answer` is the beginning of what came back."""

    class Problem(models.TextChoices):
        NAME = "name", _("its name leads nowhere")
        ADDRESS = "address", _("its address is not allowed")
        CONNECTION = "connection", _("no connection")
        TLS = "tls", _("its certificate is not valid")
        TIMEOUT = "timeout", _("no answer within 10 seconds")
        ANSWER = "answer", _("what came back is no answer of HTTP")

    delivery = models.ForeignKey(
        Delivery, on_delete=models.CASCADE, related_name="tries", verbose_name=_("webhook delivery")
    )
    at = models.DateTimeField(_("at"))
    milliseconds = models.PositiveIntegerField(_("took, ms"))
    status = models.PositiveSmallIntegerField(_("status"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=12, choices=Problem.choices, blank=True)
    answer = models.TextField(_("answer"), blank=True)

    class Meta:
        verbose_name = _("attempt of a delivery")
        verbose_name_plural = _("attempts of deliveries")

    def __str__(self) -> str:
        return str(self.status or self.problem)
