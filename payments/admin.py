"""Top-ups, the inbox and exchange rates in Django admin. Money is read-only; a notification can be processed again."""

import logging

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from accounts.customers import customers_with
from chuizi.adminsite import ExactSearch, ReadOnlyAdmin, record
from payments import dispute_admin, notifications, rate_admin, refund_desk, refused, statement_admin  # noqa: F401  the desks register themselves
from payments.models import Method, Notification, TopUp

log = logging.getLogger(__name__)


MOST_AT_ONCE = 20
"""Each asks a provider while the page waits."""


@admin.register(TopUp)
class TopUpAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = ("number", "customer", "method", "amount", "charge_amount", "charge_currency", "state", "created_at")
    list_filter = ("state", "method", "charge_currency")
    search_fields = ("number",)
    search_help_text = _("An order's number in full, ours or the provider's, or a member's email address.")
    list_select_related = ("customer",)
    ordering = ("-id",)

    def found(self, term: str) -> Q:
        if "@" in term:
            return Q(customer_id__in=customers_with(term))
        return Q(pk__in=TopUp.objects.named(term))


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    list_display = ("provider", "kind", "order_number", "received_at", "outcome", "repeats", "detail")
    list_filter = ("provider", "outcome")
    search_fields = ("order_number__exact", "reference__exact", "key__exact")
    ordering = ("-id",)
    actions = ("process_again",)  # type: ignore[assignment]
    actions_list = ("refused",)

    @action(description=_("Refused lately"), icon="block")
    def refused(self, request: HttpRequest) -> HttpResponse:
        """What came to a provider's door without its signature: a few of them, to see what is wrong."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        samples = {label: refused.samples(provider=code) for code, label in Method.choices}
        context = {
            **self.admin_site.each_context(request),
            "title": _("Refused notifications"),
            "opts": self.opts,
            "samples": samples,
        }
        return TemplateResponse(request, "admin/refused.html", context)

    @admin.action(description=_("Process again"), permissions=["process"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        for notification in queryset[:MOST_AT_ONCE]:
            try:
                done = notifications.process(notification_id=notification.pk, now=timezone.now())
            except Exception:
                log.exception("notification %s", notification.pk)
                record(request, notification, "Processing again failed.")
                messages.error(request, _("%(name)s failed; the log says why.") % {"name": notification})
                continue
            outcome = done.get_outcome_display() or _("not confirmed by the provider")
            record(request, done, f"Processed again: {done.outcome or 'not confirmed'}.")
            messages.info(request, f"{done}: {outcome} {done.detail}")

    def has_process_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.replay_notifications")
