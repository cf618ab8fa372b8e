"""What upstreams bill, for finance: bills by upstream and days, one with its differences, and a way to bring one."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Abs, Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from billing.models import Discrepancy
from desk.bills.form import BillForm
from desk.bills.words import amount_of
from desk.site import Colours, ReadOnlyAdmin, form_page, row_id
from desk.trail import recorded, staff_of
from proxy.bills import comparing, storing
from proxy.bills.formats.known import FORMATS
from proxy.bills.names import Names
from proxy.bills.reading import BillError
from proxy.bills.requests import LONGEST, upstreams_of
from proxy.ids import first_id_of, is_generation_id
from proxy.models import UpstreamBill, UpstreamBillSum

State = UpstreamBill.State
ADD = "proxy.add_bills"
MOST_SHOWN = 100
COLOURS = Colours(waiting="info", read="info", compared="success", refused="danger")


@admin.register(UpstreamBill)
class UpstreamBillAdmin(ReadOnlyAdmin):
    list_display = ("upstream", "first", "last", "source", "shown_state", "billed", "own", "drift", "differences")
    list_filter = ("state", "upstream")
    list_select_related = ("upstream",)
    ordering = ("-last", "-id")
    fieldsets = (
        (None, {"fields": ("upstream", "first", "last", "state", "problem", "billed", "own", "drift")}),
        (
            gettext_lazy("File"),
            {"fields": ("name", "source", "zone", "lines", "left_out", "added_by", "added_at", "compared_at")},
        ),
    )
    readonly_fields = ("billed", "own", "drift", "source")
    actions_list = ("bring",)
    actions_detail = ("again",)
    change_form_before_template = "admin/bill.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[UpstreamBill]:
        found: QuerySet[UpstreamBill] = super().get_queryset(request).defer("raw")
        return found

    def has_bring_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(ADD))

    def offers(self, obj: UpstreamBill, act: str) -> bool:
        return obj.state == State.COMPARED

    @action(description=gettext_lazy("Bring a bill"), icon="upload_file", permissions=["bring"])
    def bring(self, request: HttpRequest) -> HttpResponse:
        """A file is kept, and a worker reads it within a minute."""
        if not self.has_bring_permission(request):
            raise PermissionDenied
        form = BillForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            given = dict(form.cleaned_data)
            file, by = given.pop("file"), staff_of(request)
            try:
                with recorded(request, None) as note:
                    bill = storing.add(file, **given, name=file.name or "", by=by, keeps=True)
                    storing.again(bill)
                    note.obj, note.text = bill, f"Brought {bill.name}, {bill.sha256}"
            except BillError as error:
                form.add_error("last", str(error))
            else:
                messages.success(request, _("It is read within a minute or two: this page shows then what came of it."))
                return redirect("admin:proxy_upstreambill_change", bill.pk)
        text = _(
            "What an upstream says that it takes, compared with our requests. Differences wait among the discrepancies;"
            " nothing is booked. Another file of the same format and days takes the place of the earlier one."
        )
        title, button = _("Bring a bill"), _("Compare it")
        return form_page(request, model_admin=self, obj=None, form=form, title=title, button=button, text=text)

    @action(description=gettext_lazy("Compare again"), icon="refresh", permissions=["bring"], url_path="again")
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """With what our requests cost by now."""
        if not self.has_bring_permission(request):
            raise PermissionDenied
        bill = get_object_or_404(UpstreamBill.objects.defer("raw"), pk=row_id(object_id))
        if request.method == "POST":
            with recorded(request, bill, "Compared again"):
                storing.again(bill)
            messages.success(request, _("It is compared within a minute or two."))
            return redirect("admin:proxy_upstreambill_change", bill.pk)
        title, text = _("Compare again"), _("With what our requests cost by now. Its file is not read again.")
        return form_page(
            request, model_admin=self, obj=bill, form=forms.Form(), title=title, button=_("Compare it"), text=text
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        bill = UpstreamBill.objects.defer("raw").select_related("upstream").filter(pk=row_id(object_id)).first()
        shown_: dict[str, Any] = {} if bill is None else sums_of(bill)
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**shown_, **(extra_context or {})})
        return answer

    @display(description=gettext_lazy("State"), label=COLOURS)
    def shown_state(self, bill: UpstreamBill) -> tuple[str, str]:
        return bill.state, bill.get_state_display()

    @display(description=gettext_lazy("Format"))
    def source(self, bill: UpstreamBill) -> str:
        known = FORMATS.get(bill.format)
        return known.label if known is not None else "—"

    @display(description=gettext_lazy("Billed"), ordering="theirs")
    def billed(self, bill: UpstreamBill) -> str:
        return amount_of(bill.theirs, bill.currency)

    @display(description=gettext_lazy("Ours"), ordering="ours")
    def own(self, bill: UpstreamBill) -> str:
        return amount_of(bill.ours, bill.currency)

    @display(description=gettext_lazy("Drift"))
    def drift(self, bill: UpstreamBill) -> str:
        return amount_of(bill.drift, bill.currency)


def sums_of(bill: UpstreamBill) -> dict[str, Any]:
    """What a bill's page shows: the largest differences, and each model's sums."""
    sums = UpstreamBillSum.objects.filter(bill=bill)
    gap = Abs(Coalesce("theirs", Decimal(0)) - Coalesce("ours", Decimal(0)))
    differing = sums.exclude(outcome="").annotate(gap=gap).order_by("-gap", "day", "model", "tier", "part")
    names = Names(upstreams_of(bill.upstream))
    models = sums.values("model").annotate(billed=Sum("theirs"), own=Sum("ours")).order_by("model")
    found = list(differing[: MOST_SHOWN + 1])
    return {
        "rows": [_row(bill, one, names) for one in found[:MOST_SHOWN]],
        "has_more": len(found) > MOST_SHOWN,
        "models": list(models.annotate(drift=F("billed") - F("own"))[:MOST_SHOWN]),
        "discrepancies": _discrepancies(),
        "kinds": dict(Discrepancy.Kind.choices),
    }


def _row(bill: UpstreamBill, one: UpstreamBillSum, names: Names) -> dict[str, Any]:
    counts = [(name.replace("_", " "), *pair) for name, pair in one.counts.items() if pair[0] != pair[1]]
    return {
        "sum": one,
        "kind": Discrepancy.Kind(one.outcome).label,
        "counts": counts,
        "requests": _requests(bill, one, names),
        "ids": [(text, is_generation_id(text)) for text in one.generations],
    }


def _requests(bill: UpstreamBill, one: UpstreamBillSum, names: Names) -> str:
    """The list of requests that this is about, by their ids, which tell their time."""
    start = datetime.combine(one.day, time.min, tzinfo=ZoneInfo(bill.zone))
    among = {"id__gte": first_id_of(start - LONGEST), "id__lt": first_id_of(start + timedelta(days=1))}
    if models := names.models(one.model):
        among["model__in"] = ",".join(str(pk) for pk in models)
    among["upstream__in"] = ",".join(str(pk) for pk in upstreams_of(bill.upstream))
    return f"{reverse('admin:proxy_generation_changelist')}?{urlencode(among)}"


def _discrepancies() -> str:
    query = f"provider__exact={comparing.SOURCE}&state__exact={Discrepancy.State.OPEN}"
    return f"{reverse('admin:payments_discrepancy_changelist')}?{query}"
