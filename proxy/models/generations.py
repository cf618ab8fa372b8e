"""What was called (Generation), what prompts came to (Learned, WarmPrompt), and who is serving (Lease)."""

from datetime import UTC, date
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiKey, Customer, User
from proxy import states
from proxy.models.catalog import Model, Protocol, Upstream
from proxy.models.prices import Price


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


class Change(models.TextChoices):
    """Why a hold was changed while its stream was written."""

    OUTPUT = "output", _("the answer grew longer than was held for")
    INPUT = "input", _("the provider told what the input used")
    USAGE = "usage", _("the provider told more than could be seen")


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
        BUDGET_EXHAUSTED = "budget_exhausted", _("budget used up")
        DAILY_LIMIT = "daily_limit_exceeded", _("the key's cap a day reached")
        KEY_LIMIT = "key_limit_exceeded", _("a cap of the key reached")
        MEMBER_LIMIT = "member_limit_exceeded", _("a cap of the member reached")
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
    counted_on = models.DateField(
        _("counted on"), null=True, help_text=_("The day of its account on which caps count it; empty: its day in UTC.")
    )
    guess = models.JSONField(
        _("how its cost was estimated"),
        null=True,
        help_text=_("By what, and at how many tokens. Empty: every byte a token, and nothing cached."),
    )
    session = models.CharField(
        _("session"), max_length=200, null=True, help_text=_("Of the caller's client, as it names it.")
    )

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
    terms = models.JSONField(
        _("terms of the price"),
        null=True,
        help_text=_("What its price may go by beside the service tier, as asked and as served: size and quality."),
    )
    left_out = models.JSONField(
        _("left out"),
        null=True,
        help_text=_("What did not go upstream: tools that were taken out, and hints that its protocol does not know."),
    )
    hold_changes = models.JSONField(
        _("changes of the hold"),
        null=True,
        help_text=_("Written with each: milliseconds after the request, why, by how much, and what was held then."),
    )
    ended_by = models.JSONField(
        _("ended by"),
        null=True,
        help_text=_("The cap or the budget without room for more of its answer, as it stood then."),
    )
    factor = models.DecimalField(_("factor of the customer's group"), max_digits=7, decimal_places=4, null=True)
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
    charged_on = models.DateField(
        _("charged on"),
        null=True,
        help_text=_("The day of its account whose sums it is in; empty: it is in none yet, or cost nothing."),
    )
    maker = models.ForeignKey(
        User,
        models.DO_NOTHING,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
        verbose_name=_("member"),
        help_text=_("Whose key it was made with when it was charged."),
    )
    failures = models.SmallIntegerField(_("failed settlements"), default=0)

    # Written by PURCHASE, afterwards.
    purchase_cost = models.DecimalField(
        _("purchase cost"),
        max_digits=20,
        decimal_places=8,
        null=True,
        help_text=_("What the upstream takes for it, in its currency; empty where its claim cannot be believed."),
    )
    purchase_currency = models.CharField(
        _("currency of the purchase"), max_length=3, blank=True, default="", db_default=""
    )
    purchase_usd = models.DecimalField(_("purchase cost, USD"), max_digits=20, decimal_places=8, null=True)
    purchase_batch = models.BigIntegerField(_("purchase batch"), null=True)

    class Meta:
        verbose_name = _("model request")
        verbose_name_plural = _("model requests")
        permissions = [("handle_quarantined", "Can have quarantined requests tried again or released uncharged")]
        indexes = [
            models.Index(fields=["customer", "-id"], name="generation_customer"),
            models.Index(
                fields=["customer", "session", "-id"], condition=Q(session__isnull=False), name="generation_session"
            ),
            models.Index(fields=["key"], condition=Q(state="held"), name="generation_key_in_flight"),
            models.Index(fields=["id"], condition=Q(state="metered"), name="generation_to_settle"),
            models.Index(fields=["id"], condition=Q(is_flagged=True), name="generation_flagged"),
            # What was settled before there were sums, or by a version that keeps none: no row is written into it.
            models.Index(
                fields=["customer", "id"],
                condition=Q(state="settled", charged_on__isnull=True),
                name="generation_uncounted",
            ),
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
    def counted_day(self) -> date:
        """The day on which caps count it."""
        return self.counted_on or self.created_at.astimezone(UTC).date()

    @property
    def removed(self) -> list[str]:
        """The kinds of tools that were offered to the model and taken out."""
        return self._left_out("removed")

    @property
    def ignored(self) -> list[str]:
        """The hints for which the upstream's protocol has no words."""
        return self._left_out("ignored")

    def _left_out(self, name: str) -> list[str]:
        fields: list[str] = (self.left_out or {}).get(name, [])
        return fields

    @property
    def net_cost(self) -> Decimal | None:
        """USD, after what was given back; None until the usage is known."""
        return self.cost if self.corrected_cost is None else self.corrected_cost


ENDED_EARLY = frozenset(
    {
        Generation.Reason.INSUFFICIENT_BALANCE,
        Generation.Reason.BUDGET_EXHAUSTED,
        Generation.Reason.DAILY_LIMIT,
        Generation.Reason.KEY_LIMIT,
        Generation.Reason.MEMBER_LIMIT,
    }
)
"""How an answer ends that nothing more could be held for."""


class Learned(models.Model):
    """How a customer's large prompts to a model are counted there, and how long its answers are.

    Means and mean distances from them, in which each request counts a sixteenth. Ratios are tokens a million bytes.
    """

    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    model = models.ForeignKey(Model, models.DO_NOTHING, related_name="+", db_constraint=False)
    ratio = models.IntegerField()
    ratio_spread = models.IntegerField()
    output = models.IntegerField()
    output_spread = models.IntegerField()
    requests = models.IntegerField()
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = _("learned ratio")
        verbose_name_plural = _("learned ratios")
        constraints = [models.UniqueConstraint(fields=["customer", "model"], name="learned_once")]

    def __str__(self) -> str:
        return f"{self.customer_id} at {self.model_id}: {self.ratio}"


class WarmPrompt(models.Model):
    """The last large prompt of a session, which a model's provider has in its cache for some minutes.

    `session` is a hash of what names the session; `size` in bytes, `readable` those of its `tokens` that the next
    prompt likely reads from the cache.
    """

    customer = models.ForeignKey(Customer, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    model = models.ForeignKey(Model, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False)
    session = models.BigIntegerField()
    size = models.IntegerField()
    tokens = models.IntegerField()
    readable = models.IntegerField()
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name = _("warm prompt")
        verbose_name_plural = _("warm prompts")
        constraints = [models.UniqueConstraint(fields=["customer", "model", "session"], name="warm_prompt_once")]
        indexes = [models.Index(fields=["seen_at"], name="warm_prompt_seen")]

    def __str__(self) -> str:
        return f"{self.customer_id} at {self.model_id}: {self.readable} of {self.tokens}"
