"""What upstreams take for requests, as it is posted: which of it waits, and what lacks a rate."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from desk.site import CappedPaginator, ReadOnlyAdmin
from proxy.models import PurchaseBatch
from proxy.purchases.posting import overdue


class OverdueFilter(admin.SimpleListFilter):
    """Those that should have been posted, without a count behind it."""

    title = gettext_lazy("for staff")
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", gettext_lazy("not posted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[PurchaseBatch]) -> QuerySet[PurchaseBatch]:
        return overdue(queryset) if self.value() == "1" else queryset


@admin.register(PurchaseBatch)
class PurchaseBatchAdmin(ReadOnlyAdmin):
    list_display = ("id", "created_at", "requests", "posted_at", "failures", "lacks_rate")
    list_filter = (OverdueFilter, "lacks_rate")
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    paginator = CappedPaginator

    @display(description=gettext_lazy("model requests"))
    def requests(self, batch: PurchaseBatch) -> int:
        return len(batch.generations)
