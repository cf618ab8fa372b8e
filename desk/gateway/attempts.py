"""What upstreams were asked and may bill, beside what was charged to customers."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from desk.site import ExactSearch, ReadOnlyAdmin
from proxy.models import UNKNOWN, Attempt


class UnknownFilter(admin.SimpleListFilter):
    """Those that their upstream may bill, and nobody knows for how much."""

    title = gettext_lazy("for staff")
    parameter_name = "unknown"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1", gettext_lazy("usage unknown"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Attempt]) -> QuerySet[Attempt]:
        return queryset.filter(UNKNOWN) if self.value() == "1" else queryset


@admin.register(Attempt)
class AttemptAdmin(ExactSearch, ReadOnlyAdmin):
    list_display = (
        *(
            "generation_id",
            "number",
            "ended_at",
            "upstream",
            "model",
            "outcome",
            "used",
            "stated_cost",
            "purchase_cost",
        ),
        "purchase_currency",
    )
    list_select_related = ("upstream", "model")
    list_filter = (UnknownFilter, "outcome", "upstream")
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    search_fields = ("generation_id",)
    search_help_text = gettext_lazy("A request's id in full (gen-...).")
    list_per_page = 50

    @display(description=gettext_lazy("tokens in, out"))
    def used(self, attempt: Attempt) -> str | None:
        return f"{attempt.input_tokens:,}, {attempt.output_tokens:,}" if attempt.is_known else None

    def found(self, term: str) -> Q:
        return Q(generation_id=term)
