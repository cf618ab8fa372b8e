"""What can be called (Upstream, Model, Price), what was called (Generation), and who is serving (Lease)."""

from __future__ import annotations

from decimal import Decimal

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Customer, User
from core.crypto import EncryptedTextField
from proxy import states


class Protocol(models.TextChoices):
    OPENAI = "openai", "OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"
    GEMINI = "gemini", "Gemini"


SPOKEN = frozenset({Protocol.OPENAI})
"""The protocols that this version can forward requests in."""


class Kind(models.TextChoices):
    """Whose program answers: which fields beside the protocol's own steer what it does and charges goes by it."""

    OPENAI = "openai", "OpenAI"
    AZURE = "azure", "Azure"
    OPENROUTER = "openrouter", "OpenRouter"
    LITELLM = "litellm", "LiteLLM"
    VLLM = "vllm", "vLLM"
    RELAY = "relay", _("relay")
    ANTHROPIC = "anthropic", "Anthropic"
    GEMINI = "gemini", "Gemini"


class Upstream(models.Model):
    """A provider's API that requests are forwarded to."""

    name = models.SlugField(_("name"), max_length=60, unique=True)
    protocol = models.CharField(_("protocol"), max_length=20, choices=Protocol.choices)
    kind = models.CharField(
        _("kind"),
        max_length=20,
        choices=Kind.choices,
        blank=True,
        default="",
        db_default="",
        help_text=_("Whose program answers there. Empty: the protocol's own provider."),
    )
    account = models.SlugField(
        _("account"),
        max_length=60,
        blank=True,
        default="",
        db_default="",
        db_index=False,
        help_text=_("Upstreams of one account share what it keeps. Empty: the upstream's name."),
    )
    base_url = models.URLField(_("base URL"), max_length=300)
    api_key = EncryptedTextField(_("API key"), blank=True)
    priority = models.IntegerField(_("priority"), default=1, help_text=_("Lower goes first."))
    timeout_seconds = models.PositiveIntegerField(
        _("timeout, s"), default=120, help_text=_("To the first byte, and between bytes.")
    )
    total_timeout_seconds = models.PositiveIntegerField(_("total timeout, s"), default=3600)
    bills_abandoned = models.BooleanField(
        _("bills what is abandoned"),
        default=True,
        db_default=True,
        help_text=_("It goes on working, and bills, when we hang up."),
    )
    is_active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("upstream")
        verbose_name_plural = _("upstreams")
        permissions = [("manage_upstreams", "Can manage upstreams, models and routes")]
        constraints = [
            models.CheckConstraint(condition=Q(timeout_seconds__gte=1), name="upstream_timeout_positive"),
            models.CheckConstraint(
                condition=Q(total_timeout_seconds__gte=F("timeout_seconds"), total_timeout_seconds__lte=7200),
                name="upstream_total_timeout_within_two_hours",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Model(models.Model):
    """A model on offer, named `provider/model`."""

    slug = models.CharField(_("model id"), max_length=200, unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    description = models.CharField(_("description"), max_length=400, blank=True)
    context_window = models.PositiveIntegerField(_("context window, tokens"), null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(_("longest output, tokens"), null=True, blank=True)
    max_tool_calls = models.PositiveSmallIntegerField(
        _("most calls of tools at the provider, in one request"), default=0, db_default=0
    )
    upstreams: models.ManyToManyField[Upstream, Route] = models.ManyToManyField(Upstream, through="Route")
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        constraints = [models.CheckConstraint(condition=Q(slug__contains="/"), name="model_slug_has_provider")]

    def __str__(self) -> str:
        return self.slug

    @property
    def provider(self) -> str:
        return self.slug.partition("/")[0]


class Route(models.Model):
    """A model on an upstream, under the name that upstream knows it by."""

    class LimitField(models.TextChoices):
        MAX_TOKENS = "max_tokens", "max_tokens"
        MAX_COMPLETION_TOKENS = "max_completion_tokens", "max_completion_tokens"

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="routes")
    upstream = models.ForeignKey(Upstream, on_delete=models.PROTECT, related_name="routes")
    upstream_model = models.CharField(_("name at the upstream"), max_length=200)
    limit_field = models.CharField(
        _("field of the output limit"),
        max_length=30,
        choices=LimitField.choices,
        blank=True,
        default="",
        db_default="",
        help_text=_(
            "In which the limit is told, whichever the caller names. Empty: in the caller's, else by the model's name."
        ),
    )
    ask_usage = models.BooleanField(
        _("ask for usage in streams"),
        default=True,
        db_default=True,
        help_text=_("With stream_options. Without, what a stream used is estimated unless it is told anyway."),
    )

    class Meta:
        verbose_name = _("route")
        verbose_name_plural = _("routes")
        constraints = [models.UniqueConstraint(fields=["model", "upstream"], name="route_once")]

    def __str__(self) -> str:
        return f"{self.model} on {self.upstream}"


class Price(models.Model):
    """A version of a model's price, USD before the margin. Append-only: a request is priced by the one it was held at.

    `rates` are decimal strings by unit (`proxy.prices.units`). `tiers` are `{"above": input_tokens, "rates": {...}}`,
    the highest one reached replacing the base rates it names. `more` has what few prices have: `variants`, a list of
    `{"when": {"service_tier": "flex"}, "rates": {...}, "tiers": [...]}`, and `fallback`, units without a rate.
    """

    class Billing(models.TextChoices):
        PER_TOKEN = "per_token", _("per token")
        PER_REQUEST = "per_request", _("per request")
        PER_SECOND = "per_second", _("per second")

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="prices")
    version = models.PositiveIntegerField(_("version"))
    billing = models.CharField(_("billing"), max_length=20, choices=Billing.choices)
    rates = models.JSONField(_("rates"))
    tiers = models.JSONField(_("tiers"), default=list, blank=True)
    more = models.JSONField(_("variants and fallbacks"), null=True, blank=True)
    margin = models.DecimalField(
        _("margin"), max_digits=8, decimal_places=4, help_text=_("Charge = upstream cost x margin.")
    )
    applies_from = models.DateTimeField(_("applies from"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        permissions = [("set_prices", "Can set prices")]
        constraints = [
            models.UniqueConstraint(fields=["model", "version"], name="price_version_once"),
            models.CheckConstraint(condition=Q(margin__gte=1), name="price_margin_at_least_one"),
        ]
        triggers = [pgtrigger.Protect(name="price_append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"


class Lease(models.Model):
    """A gateway process's claim on the holds of its requests, renewed every 5 s; times by PostgreSQL's clock."""

    renewed_at = models.DateTimeField(_("renewed at"))
    started_at = models.DateTimeField(_("started at"))
    host = models.CharField(_("process"), max_length=100)
    swept_at = models.DateTimeField(
        _("taken for dead at"), null=True, help_text=_("Its requests were released; a later renewal says: wrongly.")
    )

    class Meta:
        verbose_name = _("gateway lease")
        verbose_name_plural = _("gateway leases")

    def __str__(self) -> str:
        return f"{self.host} #{self.pk}"


SWEPT_ALIVE = Q(swept_at__lt=F("renewed_at"))
"""Leases that were taken for dead and renewed afterwards: requests in flight were released."""


NET_COST = Coalesce(F("corrected_cost"), F("cost"))
"""What a generation cost its customer, USD, after what was given back."""


class Generation(models.Model):
    """One accepted request: held, metered, then settled or released. Amounts in USD, times in milliseconds.

    No foreign key points here and its own carry no database constraint (measured: deferred ones cost 40 % of the
    hold rate); the audit checks them.
    """

    State = states.State
    MACHINE = states.GENERATION

    class UsageSource(models.TextChoices):
        UPSTREAM = "upstream", _("upstream")
        ESTIMATED = "estimated", _("estimated")
        NONE = "none", _("none")

    class Reason(models.TextChoices):
        COMPLETED = "completed", _("completed")
        CLIENT_DISCONNECTED = "client_disconnected", _("client disconnected")
        UPSTREAM_ERROR = "upstream_error", _("upstream error")
        UPSTREAM_EOF = "upstream_eof", _("upstream ended early")
        TIMEOUT = "timeout", _("timeout")
        INSUFFICIENT_BALANCE = "insufficient_balance", _("insufficient balance")
        ABANDONED = "abandoned", _("abandoned")

    # Ordered by byte, so that newer ids sort last whatever the database's locale.
    id = models.CharField(max_length=28, primary_key=True, db_collation="C")
    customer = models.ForeignKey(
        Customer, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("customer")
    )
    key = models.ForeignKey(
        ApiKey, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("API key")
    )
    model = models.ForeignKey(
        Model, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("model")
    )
    price = models.ForeignKey(
        Price, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("price")
    )
    upstream = models.ForeignKey(
        Upstream,
        models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("upstream"),
    )
    lease = models.ForeignKey(
        Lease,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("gateway lease"),
    )
    protocol = models.CharField(_("protocol"), max_length=10, choices=Protocol.choices)
    streamed = models.BooleanField(_("streamed"))
    state = models.CharField(_("state"), max_length=12, choices=State.choices, default=State.HELD)
    bound = models.DecimalField(_("upper bound, USD"), max_digits=20, decimal_places=8)
    held = models.DecimalField(_("held, USD"), max_digits=20, decimal_places=8)
    created_at = models.DateTimeField(_("created at"))

    # Written by METER, in one compare-and-set on the state.
    metered_at = models.DateTimeField(_("metered at"), null=True)
    usage_source = models.CharField(
        _("source of the usage"), max_length=10, choices=UsageSource.choices, default=UsageSource.NONE
    )
    settlement_reason = models.CharField(
        _("how it ended"), max_length=22, choices=Reason.choices, blank=True, default=""
    )
    finish_reason = models.CharField(_("why the model stopped"), max_length=40, blank=True, default="")
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
    native_input_tokens = models.BigIntegerField(
        _("input tokens of the upstream"), default=0, help_text=_("As the upstream said.")
    )
    native_output_tokens = models.BigIntegerField(
        _("output tokens of the upstream"), default=0, help_text=_("As the upstream said.")
    )
    units = models.DecimalField(
        _("other units"), max_digits=20, decimal_places=6, default=0, help_text=_("Requests, seconds or characters.")
    )
    more = models.JSONField(_("rare counts, by unit"), null=True)
    upstream_cost = models.DecimalField(_("upstream cost, USD"), max_digits=20, decimal_places=8, null=True)
    cost = models.DecimalField(_("charged, USD"), max_digits=20, decimal_places=8, null=True)
    corrected_cost = models.DecimalField(
        _("corrected charge, USD"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the charge came to after corrections; empty: as it was charged."),
    )
    asked_tier = models.CharField(
        _("service tier asked for"),
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text=_("The service tier that the caller named."),
    )
    service_tier = models.CharField(
        _("service tier served"),
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text=_("The service tier that the upstream says it served at."),
    )
    upstream_request_id = models.TextField(_("upstream's request id"), blank=True, default="", db_default="")
    stated_cost = models.DecimalField(
        _("cost the upstream states"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the upstream said that it cost, in USD: its claim, never shown to customers."),
    )
    latency_ms = models.IntegerField(
        _("first byte after, ms"), null=True, help_text=_("From the request to its first byte.")
    )
    generation_time_ms = models.IntegerField(
        _("last byte after, ms"), null=True, help_text=_("From the request to its last byte.")
    )
    is_flagged = models.BooleanField(_("to look at"), default=False, help_text=_("Something for staff to look at."))

    # Written by SETTLE.
    settled_at = models.DateTimeField(_("settled at"), null=True)
    failures = models.SmallIntegerField(_("failed settlements"), default=0)

    class Meta:
        verbose_name = _("model request")
        verbose_name_plural = _("model requests")
        permissions = [("handle_quarantined", "Can have quarantined requests tried again or released uncharged")]
        indexes = [
            models.Index(fields=["customer", "-id"], name="generation_customer"),
            models.Index(fields=["lease"], condition=Q(state="held"), name="generation_in_flight"),
            models.Index(fields=["id"], condition=Q(state="metered"), name="generation_to_settle"),
            models.Index(fields=["id"], condition=Q(is_flagged=True), name="generation_flagged"),
            # States that few rows have, for staff's list; a row is written into it when it was not charged.
            models.Index(
                fields=["state", "-id"], condition=Q(state__in=["released", "quarantined"]), name="generation_uncharged"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(cost__isnull=True) | Q(cost__gte=0), name="generation_cost_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(cost__isnull=True) | Q(cost__lte=F("bound")), name="generation_cost_within_bound"
            ),
            models.CheckConstraint(condition=Q(held__lte=F("bound")), name="generation_held_within_bound"),
            models.CheckConstraint(
                condition=Q(corrected_cost__isnull=True) | Q(corrected_cost__gte=0),
                name="generation_corrected_cost_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def net_cost(self) -> Decimal | None:
        """USD, after what was given back; None until the usage is known."""
        return self.cost if self.corrected_cost is None else self.corrected_cost
