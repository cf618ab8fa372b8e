"""What upstreams were asked and may bill, beside what the requests' own rows have; and how they do."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from proxy.models.catalog import Model, Upstream

UNKNOWN = Q(is_known=False) & ~Q(outcome="refused")
"""Attempts that their upstream had whole and may bill, and nobody knows for how much."""


class Attempt(models.Model):
    """A request at one upstream, where that is not the usual single one: it went on to another, or was not charged.

    Columns that `Generation` has too mean the same. Foreign keys carry no database constraint, as there.
    """

    class Outcome(models.TextChoices):
        ANSWERED = "answered", _("answered")  # with nothing that could be relayed or counted
        REFUSED = "refused", _("refused")
        TIMED_OUT = "timed_out", _("timed out")
        ABANDONED = "abandoned", _("abandoned")  # the caller left, or the connection broke: nobody heard the end
        LATE = "late", _("late")  # it told its usage after the request's hold had been given back

    generation_id = models.CharField(_("model request"), max_length=28, db_collation="C")
    number = models.SmallIntegerField(_("number"), help_text=_("From 1 on; 0 where it came late."))
    model = models.ForeignKey(
        Model, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("model")
    )
    upstream = models.ForeignKey(
        Upstream,
        on_delete=models.PROTECT,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("upstream"),
    )
    ended_at = models.DateTimeField(_("ended at"))
    outcome = models.CharField(_("outcome"), max_length=10, choices=Outcome.choices)
    upstream_request_id = models.TextField(_("upstream's request id"), blank=True, default="")
    is_known = models.BooleanField(_("usage is known"), help_text=_("The upstream told what it used."))
    input_tokens = models.BigIntegerField(_("input tokens"), default=0, help_text=_("All input, cached included."))
    output_tokens = models.BigIntegerField(
        _("output tokens"), default=0, help_text=_("All output, reasoning included.")
    )
    cached_tokens = models.BigIntegerField(_("cached tokens"), default=0)
    cache_write_tokens = models.BigIntegerField(
        _("tokens written to the cache"), default=0, help_text=_("5-minute and 1-hour together.")
    )
    cache_write_1h_tokens = models.BigIntegerField(_("of them for an hour"), default=0)
    reasoning_tokens = models.BigIntegerField(_("reasoning tokens"), default=0)
    units = models.DecimalField(
        _("other units"), max_digits=20, decimal_places=6, default=0, help_text=_("Requests, seconds or characters.")
    )
    more = models.JSONField(_("rare counts, by unit"), null=True)
    service_tier = models.CharField(
        _("service tier served"),
        max_length=20,
        blank=True,
        default="",
        help_text=_("The service tier that the upstream says it served at."),
    )
    stated_cost = models.DecimalField(
        _("cost the upstream states"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the upstream said that it cost, in USD: its claim, never shown to customers."),
    )

    # Written by PURCHASE, afterwards.
    purchase_cost = models.DecimalField(
        _("purchase cost"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the upstream takes for it, in its currency; empty where its claim cannot be believed."),
    )
    purchase_currency = models.CharField(_("currency of the purchase"), max_length=3, blank=True, default="")
    purchase_usd = models.DecimalField(_("purchase cost, USD"), max_digits=20, decimal_places=8, null=True)
    purchase_batch = models.BigIntegerField(_("purchase batch"), null=True)

    class Meta:
        verbose_name = _("attempt at an upstream")
        verbose_name_plural = _("attempts at upstreams")
        indexes = [
            models.Index(fields=["upstream", "-id"], name="attempt_upstream"),
            models.Index(
                fields=["upstream_request_id"], condition=~Q(upstream_request_id=""), name="attempt_request_id"
            ),
            models.Index(fields=["-id"], condition=UNKNOWN, name="attempt_unknown"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["generation_id", "number"], name="attempt_once"),
            models.CheckConstraint(
                condition=Q(purchase_cost__isnull=True) | Q(is_known=True), name="attempt_cost_of_known_usage"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.generation_id}/{self.number}"


class UpstreamMinute(models.Model):
    """How often an upstream answered and failed in a minute, and in what time its answers began.

    `times` has a count by bucket of `health.tally.LIMITS`. Kept for two days.
    """

    upstream = models.ForeignKey(
        Upstream, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("upstream")
    )
    minute = models.DateTimeField(_("minute"))
    answered = models.IntegerField(_("answered"))
    failed = models.IntegerField(_("failed"))
    times = ArrayField(models.IntegerField(), verbose_name=_("times to an answer"))

    class Meta:
        verbose_name = _("minute of an upstream")
        verbose_name_plural = _("minutes of upstreams")
        constraints = [models.UniqueConstraint(fields=["upstream", "minute"], name="upstreamminute_once")]

    def __str__(self) -> str:
        return f"{self.upstream_id} {self.minute}"


class UpstreamHealth(models.Model):
    """When an upstream answered and failed last, and what it said then. `status` is 0 where there was no answer."""

    upstream = models.OneToOneField(
        Upstream, on_delete=models.CASCADE, primary_key=True, related_name="health", verbose_name=_("upstream")
    )
    answered_at = models.DateTimeField(_("last success"), null=True)
    failed_at = models.DateTimeField(_("last error"), null=True)
    status = models.SmallIntegerField(_("its status"), default=0)
    text = models.CharField(_("its words"), max_length=300, blank=True, default="")
    cools_until = models.DateTimeField(_("left alone until"), null=True)

    class Meta:
        verbose_name = _("health of an upstream")
        verbose_name_plural = _("health of upstreams")

    def __str__(self) -> str:
        return str(self.upstream_id)
