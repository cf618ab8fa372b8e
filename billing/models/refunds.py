"""Customers' requests to get unused paid balance back. What is sent where, in parts, is payments' matter."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, User
from core.states import Machine

NOTHING = Decimal("0.00")


class RefundRequest(models.Model):
    """What a customer asked back, USD at 2 places; frozen on the wallet by holds while the request is open.

    `amount` is what was asked, `approved` what staff allowed, `sent` what left and did not come back, and `returned`
    what reached the customer for sure. Of `sent`, `paid_after_all` had failed here and was paid by its provider
    nevertheless; `excess` of that the wallet could not pay for: the customer owes it to the house.
    """

    class State(models.TextChoices):
        REQUESTED = "requested", _("requested")
        APPROVED = "approved", _("approved")
        SENDING = "sending", _("being sent")
        DONE = "done", _("done")
        PARTLY_DONE = "partly_done", _("partly done")
        RETURNED = "returned", _("back at the desk")
        DENIED = "denied", _("denied")
        CANCELLED = "cancelled", _("cancelled")
        EXTERNAL = "external", _("begun at the provider")

    class Origin(models.TextChoices):
        CUSTOMER = "customer", _("asked by the customer")
        STAFF = "staff", _("entered by staff")
        FRAUD_WARNING = "fraud_warning", _("early fraud warning")
        PROVIDER = "provider", _("begun at the provider")
        LATE_PAYMENT = "late_payment", _("paid too late")

    OPEN: ClassVar[tuple[str, ...]] = (State.REQUESTED, State.APPROVED, State.SENDING, State.RETURNED)
    AT_DESK: ClassVar[tuple[str, ...]] = (State.REQUESTED, State.RETURNED)
    NEEDS_ANSWER: ClassVar[Q] = Q(state__in=AT_DESK, answer="") & ~Q(question="")
    """Of those at the desk: the customer was asked something and has not answered."""
    FOR_STAFF: ClassVar[Q] = Q(state__in=AT_DESK) & ~NEEDS_ANSWER
    MACHINE: ClassVar[Machine] = Machine(
        "refund",
        State,
        # Money that came too late goes back at once; what was begun at the provider has left.
        starts=(State.REQUESTED, State.APPROVED, State.EXTERNAL),
        ends=(State.DONE, State.PARTLY_DONE, State.DENIED, State.CANCELLED, State.EXTERNAL),
        moves={
            State.APPROVED: (State.REQUESTED, State.RETURNED),
            State.SENDING: (State.APPROVED,),
            State.RETURNED: (State.APPROVED, State.SENDING, State.DONE, State.PARTLY_DONE),
            State.DONE: (State.SENDING, State.RETURNED, State.PARTLY_DONE, State.DENIED),
            State.PARTLY_DONE: (State.RETURNED, State.DENIED),
            State.DENIED: (State.REQUESTED, State.RETURNED),
            State.CANCELLED: (State.REQUESTED,),
        },
    )

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("customer"))
    number = models.CharField(_("number"), max_length=32, unique=True, help_text=_("Ours, known over the API."))
    origin = models.CharField(_("origin"), max_length=14, choices=Origin.choices, default=Origin.CUSTOMER)
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.REQUESTED)
    amount = models.DecimalField(_("asked, USD"), max_digits=12, decimal_places=2)
    approved = models.DecimalField(_("approved, USD"), max_digits=12, decimal_places=2, null=True, blank=True)
    sent = models.DecimalField(_("sent, USD"), max_digits=12, decimal_places=2, default=0)
    returned = models.DecimalField(_("arrived, USD"), max_digits=12, decimal_places=2, default=0)
    paid_after_all = models.DecimalField(_("paid after it had failed, USD"), max_digits=12, decimal_places=2, default=0)
    excess = models.DecimalField(_("owed by the customer, USD"), max_digits=12, decimal_places=2, default=0)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    locale = models.CharField(_("language"), max_length=10, default="en")
    asked_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("asked by")
    )
    entered_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("entered by")
    )
    reference = models.CharField(
        _("reference"), max_length=200, blank=True, help_text=_("Of the mail it came by, or of the provider.")
    )
    question = models.CharField(_("question to the customer"), max_length=1000, blank=True)
    answer = models.CharField(_("the customer's answer"), max_length=1000, blank=True)
    asked_back_at = models.DateTimeField(_("asked back at"), null=True, blank=True)
    proposed = models.DecimalField(
        _("proposed, USD"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("Above support's limit: somebody of finance approves it."),
    )
    proposed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("proposed by")
    )
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("decided by")
    )
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decision = models.CharField(_("words to the customer"), max_length=1000, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True, help_text=_("What staff should look at."))
    freezes = models.PositiveIntegerField(
        _("holds placed"), default=0, help_text=_("Holds placed so far; the last one counts.")
    )
    created_at = models.DateTimeField(_("asked at"), default=timezone.now)
    due_at = models.DateTimeField(_("due"))
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True, help_text=_("When sending goes on."))

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        indexes = [
            models.Index(fields=["customer", "-id"], name="refund_customer"),
            models.Index(fields=["due_at"], condition=Q(state__in=["requested", "returned"]), name="refund_desk"),
            models.Index(fields=["customer"], condition=Q(excess__gt=0), name="refund_with_excess"),
            models.Index(fields=["attempt_at"], condition=Q(state__in=["approved", "sending"]), name="refund_to_send"),
        ]
        constraints = [
            # A provider may pay back what is left of a payment once its credit is gone: the fee alone, no credit.
            models.CheckConstraint(
                condition=Q(amount__gt=0) | Q(amount=0, origin="provider", state="external"),
                name="refund_amount_positive",
            ),
            models.CheckConstraint(
                condition=Q(approved__isnull=True)
                | Q(approved__gt=0, approved__lte=F("amount"))
                | Q(approved=0, amount=0),
                name="refund_approved_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(returned__gte=0, returned__lte=F("sent"), sent__lte=F("amount") + F("paid_after_all")),
                name="refund_sums_within",
            ),
            models.CheckConstraint(
                condition=Q(excess__gte=0, excess__lte=F("paid_after_all"), paid_after_all__lte=F("sent")),
                name="refund_excess_within_paid_after_all",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def needs_answer(self) -> bool:
        """Whether it waits for the customer, who was asked something, and not for staff."""
        return self.state in self.AT_DESK and bool(self.question) and not self.answer

    @property
    def granted(self) -> Decimal | None:
        """What of the amount goes or went back, USD, where that is a part of it; else None."""
        part = self.returned if self.state in (self.State.DONE, self.State.PARTLY_DONE) else self.approved
        return part if part and part < self.amount else None

    @property
    def key(self) -> str:
        """The business key that its transfers and holds begin with."""
        return f"refund:{self.pk}"

    @property
    def left(self) -> Decimal:
        """What of the approved amount has not been sent, USD."""
        return max(NOTHING, (self.approved if self.approved is not None else self.amount) - self.sent)
