"""The desk's margin: what was charged, what it cost the house, and what providers took of payments meanwhile."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.books import chart
from billing.months import journal, periods
from core.amounts import written
from core.charts import Bar, Plot
from core.clock import database_now
from core.web.streaming import csv_answer
from desk.site import ReadOnlyAdmin
from proxy.models import MarginDay
from proxy.purchases import margin_figures
from proxy.purchases.margin_figures import MOST_DAYS, By, Line

RIGHT = "proxy.see_margin"
DAYS = 30
"""Shown unless others are asked for."""
MOST_LINES = 100
CHART_WIDTH, CHART_HEIGHT = 840, 140
TITLES = {
    By.DAY: gettext_lazy("Day"),
    By.MODEL: gettext_lazy("Model"),
    By.UPSTREAM: gettext_lazy("Upstream"),
    By.CUSTOMER: gettext_lazy("Customer"),
}
PAGES = {
    By.MODEL: ("proxy.view_model", "admin:proxy_model_change"),
    By.UPSTREAM: ("proxy.view_upstream", "admin:proxy_upstream_change"),
    By.CUSTOMER: ("accounts.view_customer", "admin:accounts_customer_change"),
}


class PeriodForm(forms.Form):
    first = forms.DateField(input_formats=["%Y-%m-%d"])
    last = forms.DateField(input_formats=["%Y-%m-%d"])
    by = forms.ChoiceField(choices=list(TITLES.items()))

    def clean(self) -> None:
        super().clean()
        first, last, by = (self.cleaned_data.get(name) for name in ("first", "last", "by"))
        if first is None or last is None or by is None:
            raise ValidationError(_("Name two days, such as 2026-10-31."))
        if not date(2000, 1, 1) <= first <= last <= date(2999, 12, 31):
            raise ValidationError(_("The first day comes before the last."))
        if (last - first).days >= MOST_DAYS[By(by)]:
            raise ValidationError(_("At most %(days)s days at once.") % {"days": MOST_DAYS[By(by)]})


@dataclass(frozen=True, slots=True)
class Column:
    """A day of the chart: what was charged, what of it upstreams took, and what both say."""

    charged: Bar
    purchase: Bar


@admin.register(MarginDay)
class MarginDayAdmin(ReadOnlyAdmin):
    """One page over the totals of days; a row of them has none."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(RIGHT)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RIGHT)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        """The days `?first=` to `?last=`, `?by=` day, model, upstream or customer; as a file with `&csv`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        first, last, by = self._asked(request)
        if "csv" in request.GET:
            lines = margin_figures.csv(by, first=first, last=last)
            return csv_answer(request, lines, name=f"margin-{by}-{first}-{last}.csv")
        found = margin_figures.lines(by, first=first, last=last, most=None if by == By.DAY else MOST_LINES)
        days = found if by == By.DAY else margin_figures.lines(By.DAY, first=first, last=last)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Margin"),
            "first": first,
            "last": last,
            "by": by,
            "choices": [(value.value, title) for value, title in TITLES.items()],
            "name": TITLES[by],
            "lines": [(line, self._page(request, by, line)) for line in found],
            "is_cut": by != By.DAY and len(found) == MOST_LINES,
            "total": margin_figures.total(first=first, last=last),
            "since": margin_figures.counted_since(),
            "fees": [(one.account.currency, -one.amount) for one in journal.moved(chart.FEES, first=first, last=last)],
            "columns": columns(margin_figures.by_day(days, first=first, last=last)),
            "width": CHART_WIDTH,
            "height": CHART_HEIGHT,
        }
        return TemplateResponse(request, "admin/margin.html", context)

    @staticmethod
    def _asked(request: HttpRequest) -> tuple[date, date, By]:
        """What the address asks for; the last days where it does not, or cannot be read, which is said then."""
        today = periods.day_of(database_now())
        usual = {"first": str(today - timedelta(days=DAYS - 1)), "last": str(today), "by": By.DAY.value}
        form = PeriodForm({name: request.GET.get(name) or value for name, value in usual.items()})
        if not form.is_valid():
            for error in form.non_field_errors():
                messages.error(request, str(error))
            form = PeriodForm(usual)
            form.is_valid()
        return form.cleaned_data["first"], form.cleaned_data["last"], By(form.cleaned_data["by"])

    @staticmethod
    def _page(request: HttpRequest, by: By, line: Line) -> str:
        """Where more stands about whom the line is of."""
        right, name = PAGES.get(by, ("", ""))
        return reverse(name, args=[line.pk]) if right and request.user.has_perm(right) else ""


def columns(days: list[tuple[date, Line]]) -> list[Column]:
    """A column a day, to the scale of the highest charge or cost; none where there was neither."""
    most = max((max(line.charged, line.purchase) for _day, line in days), default=Decimal(0))
    if most <= 0:
        return []
    plot = Plot(CHART_WIDTH, CHART_HEIGHT, days=len(days), most=most)
    found = []
    for number, (day, line) in enumerate(days):
        facts = {"charged": written(line.charged, places=2), "purchase": written(line.purchase, places=2)}
        words = _("charged %(charged)s, purchase %(purchase)s") % facts
        words = f"{day}: {words}, " + _("margin %(margin)s") % {"margin": written(line.margin, places=2)}
        charged, purchase = (plot.tall(amount) for amount in (line.charged, line.purchase))
        found.append(
            Column(
                plot.bar(number, top=CHART_HEIGHT - charged, tall=charged, title=words),
                plot.bar(number, top=CHART_HEIGHT - purchase, tall=purchase),
            )
        )
    return found
