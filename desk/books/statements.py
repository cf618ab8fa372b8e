"""The staff desk: customers' closed months, and receipts and statements as they were given out."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.models import MonthStatement, Paper
from desk.site import ReadOnlyAdmin


@admin.register(MonthStatement)
class MonthStatementAdmin(ReadOnlyAdmin):
    list_display = ("month", "customer", "opening", "closing", "closes_at", "closed_at")
    list_select_related = ("customer",)
    list_filter = ("month",)
    search_fields = ("=customer__id",)
    ordering = ("-id",)


@admin.register(Paper)
class PaperAdmin(ReadOnlyAdmin):
    list_display = ("number", "kind", "customer", "locale", "made_at")
    list_select_related = ("customer",)
    list_filter = ("kind",)
    search_fields = ("=number", "=customer__id")
    ordering = ("-id",)
    exclude = ("content",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the files, which a list has no use for."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("content")
