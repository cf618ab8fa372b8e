"""What upstreams were asked and may bill, beside what was charged to customers."""

from django.contrib import admin
from django.db.models import Q
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from desk.queues import Queue
from desk.site import ExactSearch, ReadOnlyAdmin
from proxy.models import UNKNOWN, Attempt


class UnknownFilter(Queue):
    """Those that their upstream may bill, and nobody knows for how much."""

    title = gettext_lazy("for staff")
    parameter_name = "unknown"
    CHOICES = (("1", gettext_lazy("usage unknown"), lambda rows: rows.filter(UNKNOWN)),)


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
    search_fields = ("generation_id", "upstream_request_id")
    search_help_text = gettext_lazy("A request's id in full (gen-...), or the upstream's own for it.")
    list_per_page = 50

    @display(description=gettext_lazy("tokens in, out"))
    def used(self, attempt: Attempt) -> str | None:
        return f"{attempt.input_tokens:,}, {attempt.output_tokens:,}" if attempt.is_known else None

    def found(self, term: str) -> Q:
        return Q(generation_id=term) | Q(upstream_request_id=term)
