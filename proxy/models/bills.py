"""What upstreams bill, line by line, and how it compares with what their requests cost by our prices."""

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.states import Machine
from proxy.models.catalog import Currency, Upstream


class UpstreamBill(models.Model):
    """What an upstream says of some days, in a file. Nothing of it is booked: differences wait for finance."""

    class State(models.TextChoices):
        WAITING = "waiting", _("to be read")
        READ = "read", _("to be compared")
        COMPARED = "compared", _("compared")
        REFUSED = "refused", _("unreadable")
        REPLACED = "replaced", _("replaced by a later one")

    MACHINE: ClassVar[Machine] = Machine(
        "upstream's bill",
        State,
        starts=(State.WAITING,),
        ends=(State.COMPARED, State.REFUSED, State.REPLACED),
        moves={
            State.READ: (State.WAITING, State.COMPARED),
            State.COMPARED: (State.READ, State.COMPARED),
            State.REFUSED: (State.WAITING,),
            State.REPLACED: (State.READ, State.COMPARED),
        },
    )

    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="bills", verbose_name=_("upstream"))
    first = models.DateField(_("first day"))
    last = models.DateField(_("last day"))
    zone = models.CharField(_("zone of its days"), max_length=60, default="UTC")
    format = models.CharField(_("format"), max_length=20, blank=True, help_text=_("Empty: as the file's columns say."))
    tolerance = models.DecimalField(_("tolerance"), max_digits=20, decimal_places=8, null=True, blank=True)
    share = models.DecimalField(_("tolerance, share"), max_digits=9, decimal_places=8, null=True, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    name = models.CharField(_("file"), max_length=200, blank=True)
    sha256 = models.CharField("SHA-256", max_length=64)
    raw = models.BinaryField(null=True, help_text=_("An uploaded file, packed, until it is read."))
    lines = models.BigIntegerField(_("lines"), default=0)
    left_out = models.BigIntegerField(_("lines left out"), default=0, help_text=_("Of other days, or without a cost."))
    currency = models.CharField(_("currency"), max_length=3, choices=Currency.choices, default=Currency.USD)
    theirs = models.DecimalField(_("billed"), max_digits=24, decimal_places=8, null=True)
    ours = models.DecimalField(_("ours"), max_digits=24, decimal_places=8, null=True)
    differences = models.IntegerField(_("differences"), default=0)
    problem = models.TextField(_("what is wrong"), blank=True)
    added_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("added by")
    )
    added_at = models.DateTimeField(_("added at"), default=timezone.now)
    compared_at = models.DateTimeField(_("compared at"), null=True)

    class Meta:
        verbose_name = _("upstream's bill")
        verbose_name_plural = _("upstreams' bills")
        constraints = [
            models.CheckConstraint(condition=Q(last__gte=F("first")), name="upstreambill_days_in_order"),
            models.UniqueConstraint(
                fields=["upstream", "sha256", "first", "last", "zone"],
                condition=Q(state__in=["waiting", "read", "compared"]),
                name="upstreambill_once",
            ),
        ]
        permissions = [("add_bills", "Can bring upstreams' bills")]
        indexes = [
            models.Index(fields=["upstream", "-last"], name="upstreambill_of_upstream"),
            models.Index(fields=["id"], condition=Q(state__in=["waiting", "read"]), name="upstreambill_to_do"),
        ]

    def __str__(self) -> str:
        return f"bill:{self.pk}, {self.upstream} {self.first} - {self.last}"

    @property
    def drift(self) -> Decimal | None:
        """How much more was billed than by our prices, in the bill's currency; None where it tells no amounts."""
        return None if self.theirs is None or self.ours is None else self.theirs - self.ours


class UpstreamBillLine(models.Model):
    """A line of a bill, as `proxy.bills.lines.BillLine` has it, and the request that it is about."""

    bill = models.ForeignKey(UpstreamBill, on_delete=models.CASCADE, related_name="rows", db_index=False)
    number = models.BigIntegerField(_("line"))
    day = models.DateField(_("day"))
    model = models.CharField(_("model"), max_length=220)
    tier = models.CharField(_("service tier"), max_length=20)
    part = models.CharField(_("part"), max_length=10)
    request_id = models.CharField(_("upstream's request id"), max_length=200)
    amount = models.DecimalField(_("billed"), max_digits=26, decimal_places=12, null=True)
    input_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    cache_write_1h_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    tokens = models.BigIntegerField(null=True)
    requests = models.BigIntegerField(null=True)
    generation = models.CharField(_("model request"), max_length=28, default="", db_default="")
    ours = models.DecimalField(_("ours"), max_digits=20, decimal_places=8, null=True)

    class Meta:
        verbose_name = _("line of an upstream's bill")
        verbose_name_plural = _("lines of upstreams' bills")
        constraints = [models.UniqueConstraint(fields=["bill", "number"], name="upstreambillline_once")]
        indexes = [
            models.Index(fields=["bill", "day"], name="upstreambillline_day"),
            models.Index(fields=["bill", "request_id"], condition=~Q(request_id=""), name="upstreambillline_request"),
        ]

    def __str__(self) -> str:
        return f"bill:{self.bill_id}, line {self.number}"


class UpstreamBillSum(models.Model):
    """What a bill and our prices say of a model's day: `outcome` is "" where they agree, else a discrepancy's kind.

    Amounts are in the bill's currency. `counts` are pairs of theirs and ours, by name.
    """

    bill = models.ForeignKey(UpstreamBill, on_delete=models.CASCADE, related_name="sums", verbose_name=_("bill"))
    day = models.DateField(_("day"))
    model = models.CharField(_("model"), max_length=220)
    tier = models.CharField(_("service tier"), max_length=20)
    part = models.CharField(_("part"), max_length=10)
    outcome = models.CharField(_("outcome"), max_length=16)
    theirs = models.DecimalField(_("billed"), max_digits=24, decimal_places=8, null=True)
    ours = models.DecimalField(_("ours"), max_digits=24, decimal_places=8, null=True)
    requests = models.BigIntegerField(_("requests"), default=0)
    counts = models.JSONField(_("counts, theirs and ours"), default=dict)
    generations = ArrayField(models.CharField(max_length=200), default=list, verbose_name=_("requests by id"))

    class Meta:
        verbose_name = _("sum of an upstream's bill")
        verbose_name_plural = _("sums of upstreams' bills")
        indexes = [models.Index(fields=["bill", "day"], name="upstreambillsum_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"
