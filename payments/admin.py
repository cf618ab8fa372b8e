"""Top-ups, the inbox and exchange rates in Django admin. Money is read-only; a notification can be processed again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from payments import notifications
from payments.models import ExchangeRate, Notification, TopUp


class ReadOnly(ModelAdmin):  # type: ignore[misc]
    """Rows that only the money path writes."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TopUp)
class TopUpAdmin(ReadOnly):
    list_display = ("number", "customer", "method", "amount", "charge_amount", "charge_currency", "state", "created_at")
    list_filter = ("state", "method", "charge_currency")
    search_fields = ("number__exact", "transaction_id__exact", "customer__members__email__exact")
    list_select_related = ("customer",)
    ordering = ("-id",)


@admin.register(Notification)
class NotificationAdmin(ReadOnly):
    list_display = ("provider", "kind", "order_number", "received_at", "outcome", "repeats", "detail")
    list_filter = ("provider", "outcome")
    search_fields = ("order_number__exact", "key__exact")
    ordering = ("-id",)
    actions = ("process_again",)

    @admin.action(description=_("Process again"))
    def process_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        for notification in queryset[:100]:
            done = notifications.process(notification_id=notification.pk, now=timezone.now())
            messages.info(request, f"{done}: {done.get_outcome_display()} {done.detail}")


@admin.register(ExchangeRate)
class ExchangeRateAdmin(ModelAdmin):  # type: ignore[misc]
    """Each change of the rate is a new row."""

    list_display = ("rate", "source", "set_by", "created_at")
    fields = ("rate", "source")
    ordering = ("-created_at",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ExchangeRate, form: Any, change: bool) -> None:
        obj.set_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
