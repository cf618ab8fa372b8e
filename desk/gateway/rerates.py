"""Finance's pages for re-rating: choose requests and their right price, see the difference, decide, watch it post."""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from accounts.models import User
from core.amounts import written
from core.clock import database_now
from core.web.streaming import csv_answer
from desk.books.proposals import ProposalAdmin, propose_page
from desk.gateway.price_form import PriceForm
from desk.gateway.rerate_forms import ModelForm, RerateForm
from desk.queues import Queue
from desk.site import Colours, form_page, row_id
from desk.trail import recorded, staff_of
from proxy.models import Model, Price, Rerate
from proxy.prices.loading import add_correction, in_force
from proxy.prices.versions import PriceVersion
from proxy.prices.written import InvalidCatalog
from proxy.rerating import deciding, report

State = Rerate.State
LABELS = Colours(proposed="warning", approved="warning", posting="info", counting="info", done="success")
MOST_SHOWN = 100
PRICES = "proxy.set_prices"


class RerateQueue(Queue):
    CHOICES = (
        ("proposed", gettext_lazy("To be decided"), lambda rows: rows.filter(state=State.PROPOSED)),
        ("open", gettext_lazy("Open"), lambda rows: rows.filter(state__in=deciding.OPEN)),
    )


@admin.register(Rerate)
class RerateAdmin(ProposalAdmin):
    right = deciding.FINANCE
    approved_words = gettext_lazy("Approved. A worker posts it page by page; this page shows how far it is.")
    list_display = ("id", "proposed_at", "model", "first_day", "last_day", "shown_state", "progress", "proposed_by")
    list_filter = (RerateQueue,)
    list_select_related = ("model", "upstream", "held_at", "price", "proposed_by", "decided_by")
    search_fields = ("model__slug",)
    ordering = ("-id",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *("state", "progress", "problem", "model", "first_day", "last_day", "upstream"),
                    *("held_version", "corrected_version", "upwards", "dearer", "unclear", "settled_by", "reason"),
                )
            },
        ),
        (
            gettext_lazy("Decision"),
            {
                "fields": (
                    *("proposed_by", "proposed_at", "decided_by", "decided_at", "decision"),
                    *("posts_from", "finished_at"),
                )
            },
        ),
    )
    readonly_fields = ("progress", "held_version", "corrected_version")
    actions_list = ("version",)
    actions_detail = ("approve", "refuse", "file")
    change_form_before_template = "admin/rerate.html"

    def offers(self, obj: Any, act: str) -> bool:
        if act == "file":
            return bool(obj.state != State.NOTHING)
        if act == "refuse":
            return Rerate.MACHINE.allows(obj.state, State.REFUSED)
        return bool(obj.state == State.PROPOSED)

    def post(self, proposal: Rerate, *, by: User, now: datetime) -> object:
        return deciding.approve(proposal_id=proposal.pk, by=by, now=now)

    def close(self, proposal: Rerate, *, why: str, by: User, now: datetime) -> object:
        return deciding.refuse(proposal_id=proposal.pk, why=why, by=by, now=now)

    def in_words(self, proposal: Rerate) -> str:
        sums = report.totals(proposal)
        values = {
            "who": proposal.proposed_by,
            "model": proposal.model,
            "first": proposal.first_day,
            "last": proposal.last_day,
            "requests": f"{sums.requests:,}",
            "customers": f"{sums.customers:,}",
            "charged": written(sums.charged, places=8),
            "corrected": written(sums.corrected, places=8),
            "back": written(sums.back, places=8),
            "up": written(sums.up, places=8),
        }
        lines = [
            _("%(who)s proposed to charge requests to %(model)s from %(first)s to %(last)s anew:") % values,
            proposal.reason,
            _("Requests: %(requests)s, customers: %(customers)s, charged %(charged)s, corrected %(corrected)s.")
            % values,
        ]
        if sums.back:
            lines.append(_("%(back)s goes back.") % values)
        if sums.up:
            lines.append(_("%(up)s is taken, 7 days after each customer is told, as far as it is available.") % values)
        return "\n".join(lines)

    @display(description=gettext_lazy("State"), label=LABELS)
    def shown_state(self, proposal: Any) -> tuple[str, str]:
        return proposal.state, proposal.get_state_display()

    @display(description=gettext_lazy("Progress"))
    def progress(self, rerate: Rerate) -> str:
        if rerate.state in (State.POSTING, State.DONE):
            counts = {"done": f"{rerate.done:,}", "all": f"{rerate.seen:,}"}
            return _("%(done)s of %(all)s requests done") % counts
        return _("%(seen)s requests looked at") % {"seen": f"{rerate.seen:,}"}

    @display(description=gettext_lazy("version they were held at"))
    def held_version(self, rerate: Rerate) -> str:
        return RerateForm.words_of(rerate.held_at) if rerate.held_at else _("any")

    @display(description=gettext_lazy("corrected version"))
    def corrected_version(self, rerate: Rerate) -> str:
        return RerateForm.words_of(rerate.price)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Propose to charge requests of `?model=` anew; without one, ask for it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        model = Model.objects.filter(pk=row_id(request.GET.get("model", ""))).first()
        if model is None:
            return self._ask_for_model(request, title=_("Charge requests anew"))
        return propose_page(
            request,
            model_admin=self,
            form=RerateForm(request.POST or None, model=model, initial={"price": request.GET.get("price")}),
            propose=lambda *, now, **given: deciding.propose(model=model, now=database_now(), **given),
            title=_("Charge requests to %(model)s anew") % {"model": model.slug},
            text=_(
                "A worker counts the difference by customer. Nothing moves until somebody else of finance approves."
            ),
        )

    @action(
        description=gettext_lazy("A version for corrections"), icon="sell", permissions=["price"], url_path="version"
    )
    def version(self, request: HttpRequest) -> HttpResponse:
        """Make a version of the price of `?model=` that never comes into force."""
        if not self.has_price_permission(request):
            raise PermissionDenied
        model = Model.objects.filter(pk=row_id(request.GET.get("model", ""))).first()
        if model is None:
            return self._ask_for_model(request, title=_("A version for corrections"))
        newest = in_force(model.prices.all(), at=database_now())
        named = () if newest is None else tuple(PriceVersion.from_row(newest).priced)
        initial = PriceForm.initial_of(newest)
        form = PriceForm(request.POST or None, initial=initial, named=named)
        if form.is_bound and form.asks_for_another_kind:
            form = PriceForm(initial={**initial, "kind": request.POST["kind"]}, named=named)
        for name in ("applies_from", "sure"):
            form.fields.pop(name)
        if form.is_bound and form.is_valid() and (made := self._made(request, model, form)) is not None:
            messages.success(request, _("Made. Choose the requests that should have had this price."))
            return redirect(f"{reverse('admin:proxy_rerate_add')}?model={model.pk}&price={made.pk}")
        return form_page(
            request,
            model_admin=self,
            obj=None,
            form=form,
            title=_("A version of %(model)s for corrections") % {"model": model.slug},
            button=_("Make it"),
            text=_(
                "USD before the margin. It never comes into force: requests are charged anew by it, and by it alone."
            ),
        )

    @staticmethod
    def _made(request: HttpRequest, model: Model, form: PriceForm) -> Price | None:
        try:
            with recorded(request, model, "A version for corrections"), transaction.atomic():
                return add_correction(model, form.price(), where=model.slug, created_by=staff_of(request))
        except InvalidCatalog as error:
            form.add_error(None, str(error))
        return None

    def has_price_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(PRICES))

    def _ask_for_model(self, request: HttpRequest, *, title: str) -> HttpResponse:
        form = ModelForm(request.POST or None)
        if form.is_bound and form.is_valid():
            return redirect(f"{request.path}?model={form.cleaned_data['model'].pk}")
        return form_page(request, model_admin=self, obj=None, form=form, title=title, button=_("Next"))

    @action(description=gettext_lazy("CSV"), icon="download", permissions=["look"], url_path="csv")
    def file(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """The difference by customer."""
        if not self.has_look_permission(request):
            raise PermissionDenied
        rerate = get_object_or_404(Rerate, pk=row_id(object_id))
        return csv_answer(request, report.csv(rerate), name=f"re-rating-{rerate.pk}.csv")

    def has_look_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(self.has_view_permission(request))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        rerate = Rerate.objects.filter(pk=row_id(object_id)).first()
        shown: dict[str, Any] = {}
        if rerate is not None:
            shown = {"totals": report.totals(rerate), "shares": report.largest(rerate, most=MOST_SHOWN)}
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return answer
