"""Top-ups, the inbox and exchange rates in Django admin. Money is read-only; a notification can be processed again."""

import logging
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing.months import periods
from desk.customers.naming import customers_like
from desk.first_page.payments import topups_like
from desk.first_page.typed import read
from desk.payments import statements
from desk.queues import Queue
from desk.site import ExactSearch, ReadOnlyAdmin, form_page, record, row_id
from desk.trail import recorded, staff_of
from payments.disputes.cases import NotYet
from payments.inbox import notifications, refused
from payments.models import Method, Notification, TopUp
from payments.providers.base import ProviderError
from payments.refunds.external import DoesNotFit
from payments.statements import fetching
from payments.topups import margins, polling
from payments.topups.orders import Result

log = logging.getLogger(__name__)

SEARCH_HELP = _(
    "A number (or 6 characters of its beginning or end), a customer's name, address or domain, an amount, a day."
)
MOST_AT_ONCE = 20
"""Each asks a provider while the page waits."""


class FetchForm(forms.Form):
    provider = forms.ChoiceField(label=_("Provider"), choices=Method.choices, widget=UnfoldAdminSelectWidget)
    number = forms.CharField(
        label=_("Number"),
        max_length=80,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("The provider's of the payment (pi_…, ch_…, or digits), or the order's, topup_…"),
    )


class MonthForm(forms.Form):
    month = forms.DateField(input_formats=["%Y-%m"])


WORDS = {
    Result.CREDITED: _("It is paid, and credited now."),
    Result.REPEATED: _("It is paid, and was credited before."),
    Result.PENDING: _("The provider says: not paid."),
    Result.CLOSED: _("It is closed, unpaid."),
    Result.MISMATCH: _("It is paid, but does not fit: see the problem."),
    Result.UNKNOWN: _("The provider gives no answer now. It is asked again."),
}
"""What asking the provider about a top-up came to."""


class PutAside(ReadOnlyAdmin):
    """What does not fit, which finance puts aside with a note."""

    def has_explain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(statements.HANDLE))

    def named(self, request: HttpRequest, object_id: str) -> Any:
        """The row, for who may put it aside."""
        if not self.has_explain_permission(request):
            raise PermissionDenied
        return get_object_or_404(self.model, pk=row_id(object_id))

    def noted(
        self,
        request: HttpRequest,
        row: Any,
        act: Callable[[], object],
        *,
        words: str,
        title: str,
        button: str,
        text: str,
    ) -> HttpResponse:
        """The page that asks for the note; `act` is done with it, and says whether there was anything to do."""
        form = statements.NoteForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            with recorded(request, row, words, why=form.cleaned_data["note"]):
                is_done = act()
            messages.info(request, _("Done.") if is_done else _("There is no problem to put aside."))
            return redirect(f"admin:payments_{self.opts.model_name}_change", row.pk)
        return form_page(request, model_admin=self, obj=row, form=form, title=title, button=button, text=text)


@admin.register(TopUp)
class TopUpAdmin(ExactSearch, PutAside):
    list_display = ("number", "customer", "method", "amount", "charge_amount", "charge_currency", "state", "created_at")
    list_filter = ("state", "method", "charge_currency")
    search_fields = ("number",)
    search_help_text = SEARCH_HELP
    list_select_related = ("customer",)
    ordering = ("-id",)
    actions_list = ("fetch", "margins")
    actions_detail = ("look", "put_aside")

    def offers(self, obj: TopUp, act: str) -> bool:
        return act != "put_aside" or bool(obj.problem)

    @action(description=_("Fetch by number"), icon="travel_explore", permissions=["look"], url_path="fetch")
    def fetch(self, request: HttpRequest) -> HttpResponse:
        """A payment that only its provider knows: settled as if its notification had come."""
        if not self.has_look_permission(request):
            raise PermissionDenied
        number = request.GET.get("number", "").replace("\0", "")[:80]
        form = FetchForm(request.POST or None, initial={"number": number, "provider": fetching.provider_of(number)})
        if request.method == "POST" and form.is_valid():
            try:
                topup, result = fetching.settle_payment(**form.cleaned_data, now=timezone.now())
            except fetching.NotOurs as error:
                form.add_error("number", str(error))
            except (ProviderError, NotYet, DoesNotFit, LookupError) as error:
                form.add_error(None, str(_("No answer: %(error)s") % {"error": error}))
            else:
                record(request, topup, f"Fetched by number {form.cleaned_data['number']}: {result}.")
                messages.info(request, WORDS[result])
                return redirect("admin:payments_topup_change", topup.pk)
        return form_page(
            request,
            model_admin=self,
            obj=None,
            form=form,
            title=str(_("Fetch by number")),
            button=str(_("Ask the provider")),
            text=str(_("The provider is asked, and a payment for an order of ours is credited, if it fits.")),
        )

    @action(description=_("Margin by method"), icon="percent", permissions=["explain"], url_path="margins")
    def margins(self, request: HttpRequest) -> HttpResponse:
        """What each method leaves of `?month=` after fees; of this month if none is named."""
        if not self.has_explain_permission(request):
            raise PermissionDenied
        this = periods.day_of(timezone.now()).replace(day=1)
        form, month = MonthForm(request.GET if "month" in request.GET else None), this
        if form.is_bound and form.is_valid() and date(2000, 1, 1) <= form.cleaned_data["month"] <= this:
            month = form.cleaned_data["month"]
        elif form.is_bound:
            messages.error(request, _("Name a month up to this one, such as 2026-10."))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Margin by method"),
            "opts": self.opts,
            "media": self.media,
            "month": month,
            "this": this,
            "margins": margins.of_month(month),
            "percent": (settings.PRICE_MARGIN - 1) * 100,
        }
        return TemplateResponse(request, "admin/margins.html", context)

    @action(description=_("Ask the provider"), icon="sync", permissions=["look"])
    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What became of the payment; one that was made is credited."""
        if not self.has_look_permission(request):
            raise PermissionDenied
        topup = get_object_or_404(TopUp, pk=row_id(object_id))
        try:
            result = polling.poll(topup_id=topup.pk, now=timezone.now())
        except Exception:
            log.exception("top-up %s", topup.pk)
            messages.error(request, _("%(name)s failed; the log says why.") % {"name": topup})
        else:
            record(request, topup, f"Asked the provider: {result}.")
            messages.info(request, WORDS[result])
        return redirect("admin:payments_topup_change", topup.pk)

    @action(description=_("Put the problem aside"), icon="edit_note", permissions=["explain"])
    def put_aside(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Staff have looked at what does not fit, with a note; an open order is given up."""
        topup = self.named(request, object_id)
        text = str(_("Nothing is credited or paid back by this. An order that is still open is given up."))
        act = partial(polling.put_aside, topup_id=topup.pk, now=timezone.now())
        words, title = f"Put aside: {topup.problem}", str(_("Put the problem aside"))
        return self.noted(request, topup, act, words=words, title=title, button=str(_("Put aside")), text=text)

    def has_look_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("payments.replay_notifications"))

    def found(self, term: str) -> Q:
        typed = read(term)
        return Q(pk__in=topups_like(typed).values("pk")) | Q(customer_id__in=customers_like(typed))


class NotFitting(Queue):
    CHOICES = (("unfit", _("Refunds and disputes that do not fit"), lambda rows: rows.not_fitting()),)


@admin.register(Notification)
class NotificationAdmin(PutAside):
    list_display = ("provider", "kind", "order_number", "received_at", "outcome", "repeats", "detail")
    list_filter = (NotFitting, "provider", "outcome")
    search_fields = ("order_number__exact", "reference__exact", "key__exact")
    ordering = ("-id",)
    actions = ("process_again",)  # type: ignore[assignment]
    actions_list = ("refused",)
    actions_detail = ("looked_at",)

    def offers(self, obj: Notification, act: str) -> bool:
        return Notification.objects.not_fitting().filter(pk=obj.pk).exists()

    @action(description=_("Looked at"), icon="edit_note", permissions=["explain"], url_path="looked-at")
    def looked_at(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Staff have looked at a refund or a dispute that does not fit, with a note."""
        row, title = self.named(request, object_id), str(_("Looked at"))
        text = _("Nothing is booked by this. All that told of the same refund or dispute is looked at with it.")
        act = partial(notifications.look_at, notification_id=row.pk, by=staff_of(request))
        words, shown = f"Looked at: {row.detail}", f"{row.detail}\n{text}"
        return self.noted(request, row, act, words=words, title=title, button=title, text=shown)

    @action(description=_("Refused lately"), icon="block")
    def refused(self, request: HttpRequest) -> HttpResponse:
        """What came to a provider's address without its signature: a few of them, to see what is wrong."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        samples = {label: refused.samples(provider=code) for code, label in Method.choices}
        context = {
            **self.admin_site.each_context(request),
            "title": _("Refused notifications"),
            "opts": self.opts,
            "samples": samples,
        }
        return TemplateResponse(request, "admin/refused.html", context)

    @admin.action(description=_("Process again"), permissions=["process"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        for notification in queryset[:MOST_AT_ONCE]:
            try:
                done = notifications.process(notification_id=notification.pk, now=timezone.now())
            except Exception:
                log.exception("notification %s", notification.pk)
                record(request, notification, "Processing again failed.")
                messages.error(request, _("%(name)s failed; the log says why.") % {"name": notification})
                continue
            outcome = done.get_outcome_display() or _("not confirmed by the provider")
            record(request, done, f"Processed again: {done.outcome or 'not confirmed'}.")
            messages.info(request, f"{done}: {outcome} {done.detail}")

    def has_process_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("payments.replay_notifications")
