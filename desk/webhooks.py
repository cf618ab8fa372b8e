"""Webhooks for staff: who listens where, and what does not arrive. The address of an endpoint is shown without what may
be a password, and its secret never.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from accounts.models import Customer
from desk.queues import Queue
from desk.site import Colours, ReadOnlyAdmin, asked_once
from webhooks.models import Delivery, Endpoint

State = Delivery.State
TAGS = Colours(active="success", failing="warning", off="danger", deleted="default")
FAILING = Q(state=State.FAILED) | Q(state=State.WAITING, attempts__gt=0)


class EndpointQueue(Queue):
    CHOICES = (
        (
            "failing",
            gettext_lazy("Failing"),
            lambda rows: rows.working().filter(failing_since__isnull=False),
        ),
        (
            "off",
            gettext_lazy("Switched off by itself"),
            lambda rows: rows.filter(off_why__in=("gone", "failing", "known")),
        ),
    )


class DeliveryQueue(Queue):
    CHOICES = (
        ("failing", gettext_lazy("Failed at least once"), lambda rows: rows.filter(FAILING)),
        (
            "standing",
            gettext_lazy("Nobody posts it"),
            lambda rows: rows.filter(pk__in=Delivery.objects.standing_still(now=timezone.now())),
        ),
    )


def state_of(endpoint: Endpoint) -> tuple[str, str]:
    """The tag's code and its words."""
    if endpoint.deleted_at is not None:
        return "deleted", _("deleted")
    if endpoint.off_at is not None:
        return "off", _("off")
    return ("failing", _("failing")) if endpoint.failing_since is not None else ("active", _("active"))


@asked_once
def endpoints_of(customer: Customer) -> str:
    """A customer's endpoints on its page: where, how each is, and how many deliveries fail."""
    found: Any = Endpoint.objects.of(customer.pk).annotate(failing=Count("pk", filter=_failing_deliveries()))
    list_of = reverse("admin:webhooks_delivery_changelist")
    rows = (
        (
            reverse("admin:webhooks_endpoint_change", args=[endpoint.pk]),
            endpoint.place,
            state_of(endpoint)[1],
            f"{list_of}?endpoint__id__exact={endpoint.pk}&queue=failing",
            _("%(count)s deliveries fail") % {"count": endpoint.failing},
        )
        for endpoint in found.order_by("-id")
    )
    return format_html_join("", '<div><a href="{}">{}</a> ({}), <a href="{}">{}</a></div>', rows) or "—"


def _failing_deliveries() -> Q:
    waiting = Q(deliveries__state=State.WAITING, deliveries__attempts__gt=0)
    return Q(deliveries__state=State.FAILED) | waiting


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ("place", "customer", "tag", "failing_since", "off_at", "created_at")
    list_filter = (EndpointQueue,)
    list_select_related = ("customer",)
    search_fields = ("number__exact", "customer__members__email__exact")
    search_help_text = gettext_lazy("An endpoint's number (we_...) or a member's address in full.")
    ordering = ("-id",)
    fields = (
        *("customer", "number", "place", "description", "events", "tag", "off_at", "off_why", "failing_since"),
        *("created_by", "known_to", "rotate_by", "created_at", "deleted_at"),
    )
    readonly_fields = fields

    @display(description=gettext_lazy("Address"))
    def place(self, endpoint: Endpoint) -> str:
        return endpoint.place

    @display(description=gettext_lazy("State"), label=TAGS)
    def tag(self, endpoint: Endpoint) -> tuple[str, str]:
        return state_of(endpoint)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "event", "endpoint", "state", "attempts", "send_at", "last_try")
    list_filter = (DeliveryQueue,)
    list_select_related = ("endpoint",)
    list_per_page = 50
    search_fields = ("number__exact", "message_id__exact")
    search_help_text = gettext_lazy("A delivery's number (wd_...) or its webhook-id (evt_...).")
    ordering = ("-id",)
    fields = ("endpoint", "number", "message_id", "event", "state", "attempts", "send_at", "created_at", "all_tries")
    readonly_fields = fields

    def get_queryset(self, request: Any) -> Any:
        return super().get_queryset(request).prefetch_related("tries")

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return lookup == "endpoint__id__exact" or super().lookup_allowed(lookup, value, request)

    @display(description=gettext_lazy("Last attempt"))
    def last_try(self, delivery: Delivery) -> str:
        tries = sorted(delivery.tries.all(), key=lambda attempt: attempt.pk)
        return self._said(tries[-1]) if tries else "—"

    @display(description=gettext_lazy("Attempts so far"))
    def all_tries(self, delivery: Delivery) -> Any:
        tries = sorted(delivery.tries.all(), key=lambda attempt: attempt.pk)
        rows = (
            (f"{attempt.at:%Y-%m-%d %H:%M:%S} UTC", self._said(attempt), attempt.milliseconds, attempt.answer[:200])
            for attempt in tries
        )
        return format_html_join("", "<div>{} · {} · {} ms {}</div>", rows) or "—"

    @staticmethod
    def _said(attempt: Any) -> str:
        return f"HTTP {attempt.status}" if attempt.status is not None else str(attempt.get_problem_display())
