"""What upstreams say that requests used, and that cannot be believed."""

from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from billing.months.periods import day_of, start_of_day
from core.clock import database_now
from core.web.streaming import csv_answer
from desk.site import ReadOnlyAdmin
from proxy.models import Claim, Generation
from proxy.prices.units import UNITS
from proxy.purchases import claims

MOST_LINES = 100_000
"""In a file; the filters find what is older."""
DAYS = 14
COLUMNS = {column.name: column for column in Generation._meta.concrete_fields}


class DayFilter(admin.SimpleListFilter):
    """One day of the books; any may be named in the address."""

    title = gettext_lazy("day")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        today = day_of(database_now())
        days = {str(today - timedelta(days=ago)) for ago in range(DAYS)}
        chosen = self.used_parameters.get(self.parameter_name)
        return [(day, day) for day in sorted(days | ({str(chosen)} if _day(chosen) else set()), reverse=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Claim]) -> QuerySet[Claim]:
        day = _day(self.value())
        if day is None:
            return queryset
        return queryset.filter(ended_at__gte=start_of_day(day), ended_at__lt=start_of_day(day + timedelta(days=1)))


def _day(text: Any) -> date | None:
    """A day written like 2026-10-31, of a year that there is a next one of."""
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return None
    return day if 2000 <= day.year < 3000 else None


@admin.register(Claim)
class ClaimAdmin(ReadOnlyAdmin):
    list_display = ("of", "tried", "ended_at", "upstream", "model", "why", "says", "stated_cost", "posted_cost")
    list_display_links = None
    list_select_related = ("upstream", "model")
    list_filter = ("upstream", DayFilter, "why")
    list_before_template = "admin/as_csv.html"
    show_facets = admin.ShowFacets.NEVER
    ordering = ("-id",)
    list_per_page = 50

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        """The list; as a file with `&csv`, by the same filters."""
        asked: Any = request.GET.copy()
        wants_csv = asked.pop("csv", None) is not None
        if wants_csv:
            if not self.has_view_permission(request):
                raise PermissionDenied
            request.GET = asked
            try:
                found = self.get_changelist_instance(request).queryset[:MOST_LINES]
            except IncorrectLookupParameters:
                return redirect(request.path)
            return csv_answer(request, claims.csv(found.iterator()), name=f"claims-{day_of(database_now())}.csv")
        asked["csv"] = "1"
        return super().changelist_view(request, {**(extra_context or {}), "as_csv": asked.urlencode()})  # type: ignore[no-any-return]

    @display(description=gettext_lazy("model request"))
    def of(self, claim: Claim) -> str:
        where = reverse("admin:proxy_generation_change", args=[claim.generation_id])
        return format_html('<a class="underline" href="{}">{}</a>', where, claim.generation_id)

    @display(description=gettext_lazy("Attempts"))
    def tried(self, claim: Claim) -> str | None:
        """The one that it is of, where that is not the one charged."""
        if claim.attempt is None:
            return None
        where = reverse("admin:proxy_attempt_change", args=[claim.attempt])
        return format_html('<a class="underline" href="{}">{}</a>', where, claim.attempt)

    @display(description=gettext_lazy("claimed"))
    def says(self, claim: Claim) -> str:
        return ", ".join(f"{_label(name)} {_written(count)}" for name, count in claims.in_order(claim.claimed))


def _label(name: str) -> str:
    return str(capfirst(UNITS[name].label if name in UNITS else COLUMNS[name].verbose_name))


def _written(count: Any) -> str:
    return f"{count:,}" if isinstance(count, int) else str(count)
