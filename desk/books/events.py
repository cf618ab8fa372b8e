"""The outbox for staff: facts that somebody is to hear of, and those that wait for a reader."""

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy

from billing.models import Event, Unread
from desk.queues import Queue
from desk.site import ReadOnlyAdmin


class UnreadQueue(Queue):
    CHOICES = (
        (
            "hanging",
            gettext_lazy("Nobody reads it"),
            lambda rows: rows.filter(pk__in=Unread.objects.hanging(now=timezone.now())),
        ),
    )


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "kind", "subject", "key")
    search_fields = ("subject__exact", "key__exact")
    search_help_text = gettext_lazy("The number of a refund or an invoice, or a key in full.")
    ordering = ("-id",)


@admin.register(Unread)
class UnreadAdmin(ReadOnlyAdmin):
    list_display = ("event", "reader", "attempts", "problem", "due_at")
    list_filter = (UnreadQueue,)
    list_select_related = ("event",)
    ordering = ("event_id",)
