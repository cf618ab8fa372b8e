"""What can be called: upstreams, models, and the routes between them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.crypto import EncryptedTextField


class Protocol(models.TextChoices):
    OPENAI = "openai", "OpenAI"
    ANTHROPIC = "anthropic", "Anthropic"
    GEMINI = "gemini", "Gemini"


SPOKEN = frozenset({Protocol.OPENAI, Protocol.ANTHROPIC, Protocol.GEMINI})
"""The protocols that this version can forward requests in."""
PATHS = (
    *("chat", "completions", "responses", "embeddings", "images", "audio", "moderations", "rerank"),
    *("messages", "generate", "embed"),
)
"""What an upstream may have of its protocol, by the names that catalogs use."""


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


class Currency(models.TextChoices):
    """What upstreams are paid in: those that there are rates for."""

    USD = "USD", "USD"
    CNY = "CNY", "CNY"


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
    currency = models.CharField(
        _("currency"),
        max_length=3,
        choices=Currency.choices,
        default=Currency.USD,
        db_default=Currency.USD,
        help_text=_("Of the purchase prices that are set from now on."),
    )
    credit_alarm = models.DecimalField(
        _("alarm below a credit of"),
        max_digits=20,
        decimal_places=2,
        null=True,
        blank=True,
        help_text=_("Of what is paid beforehand, in its currency: the first page is red below it. Empty: none."),
    )
    base_url = models.URLField(_("base URL"), max_length=300)
    paths = ArrayField(
        models.CharField(max_length=20),
        verbose_name=_("paths"),
        blank=True,
        default=list,
        db_default=[],
        help_text=_("What it has of its protocol, as in: chat, responses, embeddings. Empty: all."),
    )
    api_key = EncryptedTextField(_("API key"), blank=True)
    priority = models.IntegerField(
        _("priority"), default=1, help_text=_("Lower goes first; those of one priority share the sessions.")
    )
    timeout_seconds = models.PositiveIntegerField(
        _("timeout, s"), default=120, help_text=_("To the first byte, and between bytes.")
    )
    total_timeout_seconds = models.PositiveIntegerField(_("total timeout, s"), default=3600)
    max_concurrency = models.PositiveIntegerField(
        _("most requests at once"),
        null=True,
        blank=True,
        help_text=_("Of all gateways together; what is beyond goes to the next upstream. Empty: any number."),
    )
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
            models.CheckConstraint(
                condition=Q(credit_alarm__isnull=True) | Q(credit_alarm__gte=0),
                name="upstream_credit_alarm_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(max_concurrency__isnull=True) | Q(max_concurrency__gte=1),
                name="upstream_max_concurrency_positive",
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
    listed_as = models.CharField(
        _("follows the list price of"),
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("A model of genai-prices, whose price sync_prices takes over. A price by hand empties it."),
    )
    deprecated_on = models.DateField(
        _("deprecated on"), null=True, blank=True, help_text=_("Its provider advises against it.")
    )
    retired_on = models.DateField(
        _("retired on"), null=True, blank=True, help_text=_("Its provider serves it no longer, or will not from then.")
    )
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
