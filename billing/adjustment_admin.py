"""The desk of finance for adjustments: propose a correction or give a charge back, and decide what another proposed."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.customers import named
from accounts.models import User
from accounts.staff import recorded
from billing import adjustments
from billing.models import AdjustmentProposal, Wallet
from chuizi.adminsite import ReadOnlyAdmin, form_page, row_id

Kind = AdjustmentProposal.Kind
LABELS = {"proposed": "warning", "posted": "success", "refused": "info"}


class Queue(admin.SimpleListFilter):
    title = gettext_lazy("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return (("proposed", gettext_lazy("To be decided")),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> QuerySet[AdjustmentProposal]:
        return queryset.filter(state="proposed") if self.value() == "proposed" else queryset


def _reason() -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget,
        help_text=gettext_lazy("For the books; staff alone read it."),
    )


class ProposalForm(forms.Form):
    email = forms.CharField(
        max_length=254, label=gettext_lazy("The customer's address"), widget=UnfoldAdminTextInputWidget
    )
    kind = forms.ChoiceField(
        label=gettext_lazy("Which balance, and which way"),
        choices=[(kind.value, kind.label) for kind in Kind if kind != Kind.REVERSAL],
        widget=UnfoldAdminSelectWidget,
    )
    amount = forms.CharField(label=gettext_lazy("Amount in USD"), max_length=24, widget=UnfoldAdminTextInputWidget)
    reason = _reason()
    words = forms.CharField(
        label=gettext_lazy("Words to the customer"),
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("They stand beside the amount in the customer's list of transactions."),
    )

    def clean_email(self) -> str:
        text = str(self.cleaned_data["email"])
        self.customer = named(text)
        return text


class ReversalForm(forms.Form):
    generation_id = forms.CharField(
        label=gettext_lazy("Request"), max_length=60, widget=UnfoldAdminTextInputWidget, help_text="gen-…"
    )
    reason = _reason()


class RefusalForm(forms.Form):
    why = forms.CharField(label=gettext_lazy("Why"), max_length=500, widget=UnfoldAdminTextareaWidget)


@admin.register(AdjustmentProposal)
class AdjustmentAdmin(ReadOnlyAdmin):
    list_display = ("id", "proposed_at", "customer", "kind", "amount", "shown_state", "proposed_by", "decided_by")
    list_filter = (Queue, "kind")
    list_select_related = ("customer", "proposed_by", "decided_by")
    search_fields = ("generation_id__exact", "customer__members__email__exact")
    search_help_text = gettext_lazy("A member's address, or the id of a request in full.")
    ordering = ("-id",)
    actions_list = ("give_back",)
    actions_detail = ("approve", "refuse")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_finance_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_finance_permission(request) or bool(super().has_view_permission(request, obj))

    def has_finance_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(adjustments.FINANCE)

    @display(description=gettext_lazy("State"), label=LABELS)
    def shown_state(self, proposal: AdjustmentProposal) -> tuple[str, str]:
        return proposal.state, proposal.get_state_display()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Propose to move a balance."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ProposalForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and form.customer is not None:
            given = {name: form.cleaned_data[name] for name in ("kind", "amount", "reason", "words")}
            proposed = partial(adjustments.propose, customer=form.customer, **given)
            if (answer := self._proposed(request, form, proposed)) is not None:
                return answer
        text = _("Nothing moves until somebody else of finance approves it.")
        return self._page(request, form, title=_("Propose an adjustment"), text=text)

    @action(description=gettext_lazy("Give a charge back"), icon="undo", permissions=["finance"], url_path="give-back")
    def give_back(self, request: HttpRequest) -> HttpResponse:
        """Propose to reverse what a request was charged."""
        form = ReversalForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            proposed = partial(adjustments.propose_reversal, **form.cleaned_data)
            if (answer := self._proposed(request, form, proposed)) is not None:
                return answer
        text = _("The whole charge goes back to where it came from: bonus to bonus, paid balance to paid balance.")
        return self._page(request, form, title=_("Give a charge back"), text=text)

    @action(description=gettext_lazy("Approve"), icon="check_circle", permissions=["finance"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        proposal = get_object_or_404(AdjustmentProposal.objects.select_related("proposed_by"), pk=row_id(object_id))
        form = forms.Form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                with recorded(request, proposal, f"Posted: {proposal}", why=proposal.reason):
                    adjustments.approve(proposal_id=proposal.pk, by=_staff(request), now=timezone.now())
            except adjustments.AdjustmentError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("Posted."))
            return redirect("admin:billing_adjustmentproposal_change", proposal.pk)
        text = _("%(who)s proposed for %(customer)s: %(kind)s, $%(amount)s. %(reason)s") % {
            "who": proposal.proposed_by,
            "customer": proposal.customer,
            "kind": proposal.get_kind_display(),
            "amount": proposal.shown_amount,
            "reason": proposal.reason,
        }
        wallet = Wallet.objects.get(pk=proposal.customer_id)
        text += " " + _("The wallet now: paid $%(paid)s, bonus $%(bonus)s, held $%(held)s.") % {
            "paid": f"{wallet.paid:.4f}",
            "bonus": f"{wallet.bonus:.4f}",
            "held": f"{wallet.held:.4f}",
        }
        button = title = _("Approve")
        return form_page(request, model_admin=self, obj=proposal, form=form, title=title, button=button, text=text)

    @action(description=gettext_lazy("Refuse or take back"), icon="cancel", permissions=["finance"])
    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        proposal = get_object_or_404(AdjustmentProposal, pk=row_id(object_id))
        form = RefusalForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            why = form.cleaned_data["why"]
            try:
                with recorded(request, proposal, f"Refused: {proposal}", why=why):
                    adjustments.refuse(proposal_id=proposal.pk, why=why, by=_staff(request), now=timezone.now())
            except adjustments.AdjustmentError as error:
                messages.error(request, str(error))
            else:
                messages.success(request, _("Closed; nothing was posted."))
            return redirect("admin:billing_adjustmentproposal_change", proposal.pk)
        button = title = _("Refuse or take back")
        return form_page(request, model_admin=self, obj=proposal, form=form, title=title, button=button)

    def _proposed(
        self, request: HttpRequest, form: forms.Form, propose: Callable[..., AdjustmentProposal]
    ) -> HttpResponse | None:
        try:
            with recorded(request, None, why=form.cleaned_data["reason"]) as note:
                proposal = propose(by=_staff(request), now=timezone.now())
                note.obj, note.text = proposal, f"Proposed: {proposal}"
        except adjustments.AdjustmentError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
            return None
        messages.success(request, _("Proposed. Somebody else of finance approves it."))
        return redirect("admin:billing_adjustmentproposal_change", proposal.pk)

    def _page(self, request: HttpRequest, form: forms.Form, *, title: str, text: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": form,
            "button": _("Propose"),
            "text": text,
            "back": reverse("admin:billing_adjustmentproposal_changelist"),
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/act.html", context)


def _staff(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
