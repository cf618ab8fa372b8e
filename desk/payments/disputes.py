"""Disputes and early fraud warnings for staff: facts to read, and the write-off of what a lost one left."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing.books.money import shown
from desk.queues import Queue
from desk.site import Colours, ReadOnlyAdmin, form_page, record, row_id
from desk.trail import recorded, staff_of
from payments.disputes import write_offs
from payments.disputes.cases import NotYet, settle_dispute
from payments.models import Dispute, FraudWarning
from payments.providers import registry
from payments.providers.base import ProviderError, ProviderRefused
from payments.statements import fetching

FINANCE = "billing.post_adjustments"
DASHBOARDS = {code: spec.dispute_page for code, spec in registry.SPECS.items() if spec.dispute_page}
[DISPUTING] = DASHBOARDS
"""The one provider whose payments may be disputed: a second one needs a field in the form that fetches by number."""
LABELS = Colours(won="success", lost="danger", needs_response="warning", warning_needs_response="warning")


class DisputeQueue(Queue):
    CHOICES = (
        ("answer", gettext_lazy("To be answered"), lambda rows: rows.filter(status__endswith="needs_response")),
        ("open", gettext_lazy("Open"), lambda rows: rows.exclude(status__in=Dispute.OVER)),
        ("problem", gettext_lazy("With a problem"), lambda rows: rows.exclude(problem="")),
        (
            "propose",
            gettext_lazy("Write-off proposed"),
            lambda rows: rows.filter(write_off__isnull=False, written_off_at__isnull=True),
        ),
    )


class WriteOffForm(forms.Form):
    amount = forms.DecimalField(
        label=gettext_lazy("Amount in USD"), max_digits=12, decimal_places=2, widget=UnfoldAdminTextInputWidget
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=300, widget=UnfoldAdminTextareaWidget)


class ConfirmForm(forms.Form):
    """What is confirmed is what was seen."""

    amount = forms.DecimalField(max_digits=12, decimal_places=2, widget=forms.HiddenInput)


class FetchForm(forms.Form):
    number = forms.CharField(
        label=gettext_lazy("Number"), max_length=80, widget=UnfoldAdminTextInputWidget, help_text="du_…, dp_…"
    )


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    """What the provider said last, and what it moved. Answers to a dispute are given at the provider."""

    list_display = ("provider_id", "customer", "state_shown", "asked", "held", "withdrawn", "answer_due", "problem")
    list_filter = (DisputeQueue, "status", "reason")
    list_select_related = ("customer",)
    search_fields = (
        "provider_id__exact",
        "payment_id__exact",
        "topup__number__exact",
        "customer__members__email__exact",
    )
    search_help_text = gettext_lazy("The provider's number of the dispute or payment, an order, or a member's address.")
    ordering = ("-id",)
    actions_list = ("fetch",)
    actions_detail = ("look", "propose_write_off", "confirm_write_off")
    fieldsets = (
        (None, {"fields": ("provider_id", "at_the_provider", "status", "reason", "problem", "answer_due")}),
        (gettext_lazy("About"), {"fields": ("customer", "topup", "payment_id", "opened_at", "changed_at")}),
        (gettext_lazy("Money"), {"fields": ("asked", "held", "withdrawn", "moved", "suspended_at")}),
        (
            gettext_lazy("Write-off"),
            {
                "fields": (
                    "write_off",
                    "write_off_reason",
                    "write_off_by",
                    "written_off_by",
                    "written_off_at",
                    "recovered",
                )
            },
        ),
    )
    readonly_fields = ("at_the_provider", "answer_due", "asked", "moved")

    def offers(self, obj: Dispute, act: str) -> bool:
        if act == "confirm_write_off":
            return obj.write_off is not None and obj.written_off_at is None
        return act != "propose_write_off" or write_offs.most(obj) > 0

    @display(description=gettext_lazy("State"), ordering="status", label=LABELS)
    def state_shown(self, dispute: Dispute) -> tuple[str, str]:
        return dispute.status, dispute.status.replace("_", " ")

    @display(description=gettext_lazy("Disputed"), ordering="amount")
    def asked(self, dispute: Dispute) -> str:
        return f"{dispute.amount} {dispute.currency}"

    @display(description=gettext_lazy("Answer due"), ordering="evidence_due_at")
    def answer_due(self, dispute: Dispute) -> str:
        if dispute.evidence_due_at is None or not dispute.status.endswith("needs_response"):
            return "-"
        text = f"{timezone.localtime(dispute.evidence_due_at):%Y-%m-%d %H:%M}"
        if dispute.evidence_due_at < timezone.now():
            return format_html('<b class="text-red-700 dark:text-red-400">{} {}</b>', text, _("overdue"))
        return text

    @display(description=gettext_lazy("At the provider"))
    def at_the_provider(self, dispute: Dispute) -> str:
        address = DASHBOARDS.get(dispute.provider, "")
        if not address:
            return "-"
        link = address.format(dispute.provider_id)
        return format_html('<a href="{}" rel="noreferrer" target="_blank">{}</a>', link, link)

    @display(description=gettext_lazy("Movements"))
    def moved(self, dispute: Dispute) -> str:
        rows = (
            (
                f"{timezone.localtime(row.at):%Y-%m-%d}",
                shown(row.amount, currency=row.currency),
                _("fee"),
                shown(row.fee, currency=row.currency),
                row.provider_id,
            )
            for row in dispute.movements.order_by("at", "id")
        )
        return format_html_join("", "<div>{} {}, {} {} ({})</div>", rows) or "-"

    @action(description=gettext_lazy("Fetch by number"), icon="travel_explore", permissions=["look"], url_path="fetch")
    def fetch(self, request: HttpRequest) -> HttpResponse:
        """A dispute that only its provider knows: settled as if its notification had come."""
        if not self.has_look_permission(request):
            raise PermissionDenied
        form = FetchForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            number = form.cleaned_data["number"]
            try:
                dispute = fetching.settle_named_dispute(provider=DISPUTING, number=number, now=timezone.now())
            except fetching.NotOurs as error:
                form.add_error("number", str(error))
            except ProviderRefused:
                form.add_error("number", _("The provider knows no such dispute."))
            except (ProviderError, NotYet, LookupError) as error:
                form.add_error(None, _("No answer: %(error)s") % {"error": error})
            else:
                record(request, dispute, f"Fetched by number: {dispute.status}")
                messages.success(request, _("The provider says: %(status)s.") % {"status": dispute.status})
                return redirect("admin:payments_dispute_change", dispute.pk)
        title, button = _("Fetch by number"), _("Ask the provider")
        text = _(
            "The provider is asked, and what the dispute moved is booked. One about no top-up of ours is kept to see."
        )
        return form_page(request, model_admin=self, obj=None, form=form, title=title, button=button, text=text)

    @action(description=gettext_lazy("Ask the provider"), icon="sync", permissions=["look"])
    def look(self, request: HttpRequest, object_id: str) -> HttpResponse:
        dispute = get_object_or_404(Dispute, pk=row_id(object_id))
        try:
            dispute = settle_dispute(provider=dispute.provider, dispute_id=dispute.provider_id, now=timezone.now())
        except (ProviderError, NotYet, LookupError) as error:
            messages.error(request, _("No answer: %(error)s") % {"error": error})
        else:
            record(request, dispute, f"Asked the provider: {dispute.status}")
            messages.success(request, _("The provider says: %(status)s.") % {"status": dispute.status})
        return redirect("admin:payments_dispute_change", dispute.pk)

    @action(description=gettext_lazy("Propose a write-off"), icon="money_off", permissions=["finance"])
    def propose_write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        dispute = get_object_or_404(Dispute, pk=row_id(object_id))
        most = write_offs.most(dispute)
        form = WriteOffForm(request.POST or None, initial={"amount": most})
        if request.method == "POST" and form.is_valid():
            amount, reason = form.cleaned_data["amount"], form.cleaned_data["reason"]
            words, by = f"Write-off of {amount} USD proposed: {reason}", staff_of(request)
            try:
                with recorded(request, dispute, words, why=reason):
                    write_offs.propose(dispute_id=dispute.pk, amount=amount, reason=reason, by=by, now=timezone.now())
            except write_offs.WriteOffError as error:
                form.add_error(None, str(error))
            else:
                messages.success(request, _("Proposed: $%(amount)s. Somebody else confirms it.") % {"amount": amount})
                return redirect("admin:payments_dispute_change", dispute.pk)
        text = _("The house bears at most $%(most)s: what the dispute took, as far as the wallet is below zero.")
        return form_page(
            request,
            model_admin=self,
            obj=dispute,
            form=form,
            title=_("Propose a write-off"),
            button=_("Propose"),
            text=text % {"most": most},
        )

    @action(description=gettext_lazy("Confirm the write-off"), icon="check_circle", permissions=["finance"])
    def confirm_write_off(self, request: HttpRequest, object_id: str) -> HttpResponse:
        dispute = get_object_or_404(Dispute.objects.select_related("write_off_by"), pk=row_id(object_id))
        form = ConfirmForm(request.POST or None, initial={"amount": dispute.write_off})
        if request.method == "POST" and form.is_valid():
            amount, by = form.cleaned_data["amount"], staff_of(request)
            words, why = f"Write-off of {amount} USD confirmed", dispute.write_off_reason
            try:
                with recorded(request, dispute, words, why=why):
                    write_offs.confirm(dispute_id=dispute.pk, amount=amount, by=by, now=timezone.now())
            except write_offs.WriteOffError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("$%(amount)s is written off.") % {"amount": amount})
            return redirect("admin:payments_dispute_change", dispute.pk)
        text = _("Nobody proposed a write-off.")
        if dispute.write_off is not None:
            text = _("%(who)s proposed $%(amount)s: %(reason)s") % {
                "who": dispute.write_off_by,
                "amount": dispute.write_off,
                "reason": dispute.write_off_reason,
            }
        return form_page(
            request,
            model_admin=self,
            obj=dispute,
            form=form,
            title=_("Confirm the write-off"),
            button=_("Confirm"),
            text=text,
        )

    def has_look_permission(self, request: HttpRequest, object_id: str = "") -> bool:
        return request.user.has_perm("payments.change_dispute")

    def has_finance_permission(self, request: HttpRequest, object_id: str = "") -> bool:
        return request.user.has_perm(FINANCE)


@admin.register(FraudWarning)
class FraudWarningAdmin(ReadOnlyAdmin):
    list_display = ("provider_id", "customer", "topup", "kind", "proposal", "problem", "created_at")
    list_filter = ("kind",)
    list_select_related = ("customer", "topup", "refund")
    search_fields = ("provider_id__exact", "topup__number__exact", "customer__members__email__exact")
    ordering = ("-id",)
    exclude = ("refund",)
    readonly_fields = ("proposal",)

    @display(description=gettext_lazy("Proposed refund"))
    def proposal(self, warning: FraudWarning) -> str:
        if warning.refund is None:
            return "-"
        link = reverse("admin:billing_refundrequest_change", args=[warning.refund.pk])
        return format_html('<a href="{}">{} ({})</a>', link, warning.refund, warning.refund.get_state_display())
