"""The desk for refunds: the queue by due time, one page with all that is needed to decide, and the acts on it."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from accounts.customers import named
from accounts.models import User
from accounts.staff import recorded
from billing import invoices, refunds
from billing.models import RefundRequest, Wallet
from billing.workdays import day_of
from chuizi.adminsite import ReadOnlyAdmin, record, row_id
from payments import refunding
from payments.models import Method, RefundPart, TopUp
from payments.refund_plan import plan

HANDLE = "billing.handle_refunds"
FINANCE = "billing.approve_large_refunds"
QUEUE = ("due_at", "id")


class Queue(admin.SimpleListFilter):
    """The desk's own work first; everything else on demand."""

    title = gettext_lazy("queue")
    parameter_name = "queue"
    CHOICES: ClassVar[tuple[tuple[str, Any], ...]] = (
        ("desk", gettext_lazy("At the desk")),
        ("overdue", gettext_lazy("Overdue")),
        ("way", gettext_lazy("On the way")),
        ("parked", gettext_lazy("With a part that waits for staff")),
        ("all", gettext_lazy("All")),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.CHOICES[1:]

    def choices(self, changelist: Any) -> Any:
        chosen = self.value() or "desk"
        for value, title in self.CHOICES:
            query = changelist.get_query_string({self.parameter_name: value}, ["p"])
            yield {"selected": chosen == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[RefundRequest]) -> QuerySet[RefundRequest]:
        chosen = self.value() or "desk"
        if chosen == "all" or request.GET.get("q"):
            return queryset
        if chosen == "way":
            return queryset.filter(state__in=(RefundRequest.State.APPROVED, RefundRequest.State.SENDING))
        if chosen == "parked":
            return queryset.filter(pk__in=RefundPart.objects.filter(state=RefundPart.State.PARKED).values("refund_id"))
        desk = queryset.filter(state__in=RefundRequest.AT_DESK)
        return desk.filter(due_at__lt=timezone.now()) if chosen == "overdue" else desk


class MailedForm(forms.Form):
    """A request that came by mail."""

    email = forms.CharField(
        max_length=254, label=gettext_lazy("The customer's address"), widget=UnfoldAdminTextInputWidget
    )
    amount = forms.CharField(label=gettext_lazy("Amount in USD"), max_length=20, widget=UnfoldAdminTextInputWidget)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, widget=UnfoldAdminTextareaWidget)
    reference = forms.CharField(
        label=gettext_lazy("Reference of the mail"), max_length=200, widget=UnfoldAdminTextInputWidget
    )

    def clean_email(self) -> str:
        text = str(self.cleaned_data["email"])
        self.customer = named(text)
        return text


@admin.register(RefundRequest)
class RefundDesk(ReadOnlyAdmin):
    list_display = ("number", "customer", "asked", "state_shown", "asked_back", "due", "origin", "problem")
    list_filter = (Queue,)
    list_select_related = ("customer",)
    search_fields = ("number__exact", "reference__exact", "customer__members__email__exact", "parts__key__exact")
    search_help_text = gettext_lazy("Number, reference, a member's address, or our number at the provider.")
    ordering = QUEUE
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(HANDLE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(HANDLE) or super().has_view_permission(request, obj)

    @display(description=gettext_lazy("Asked"), ordering="amount")
    def asked(self, refund: RefundRequest) -> str:
        return f"${refund.amount}"

    @display(description=gettext_lazy("Asked back"))
    def asked_back(self, refund: RefundRequest) -> str:
        if not refund.question or refund.state not in RefundRequest.AT_DESK:
            return ""
        return _("answered") if refund.answer else _("no answer yet")

    @display(description=gettext_lazy("Due"), ordering="due_at")
    def due(self, refund: RefundRequest) -> str:
        text = day_of(refund.due_at)
        if refund.state in RefundRequest.AT_DESK and refund.due_at < timezone.now():
            return format_html('<b class="text-red-700 dark:text-red-400">{} {}</b>', text, _("overdue"))
        return text

    @display(
        description=gettext_lazy("State"),
        label={"requested": "warning", "returned": "danger", "done": "success", "denied": "info", "sending": "info"},
    )
    def state_shown(self, refund: RefundRequest) -> tuple[str, str]:
        return refund.state, refund.get_state_display()

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.act))
        own = [path("<path:object_id>/act/<slug:name>", act, name="billing_refundrequest_act")]
        return own + list(super().get_urls())

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Enter a request that came by mail; the same checks apply as to the customer's own."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MailedForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and form.customer is not None:
            by = cast(User, request.user)
            try:
                with recorded(request, None) as note:
                    refund = refunds.ask(
                        customer=form.customer,
                        amount=form.cleaned_data["amount"],
                        reason=form.cleaned_data["reason"],
                        reference=form.cleaned_data["reference"],
                        origin=RefundRequest.Origin.STAFF,
                        entered_by=by,
                        now=timezone.now(),
                    )
                    note.obj, note.text = refund, f"Entered for {form.cleaned_data['email']}, {refund.reference}"
            except refunds.RefundError as error:
                form.add_error(error.field if error.field in form.fields else None, str(error))
            else:
                return redirect("admin:billing_refundrequest_change", refund.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": _("A request that came by mail"),
            "opts": self.opts,
            "form": form,
            "button": _("Enter it"),
            "text": _("The amount is set aside at once, and the customer is told."),
            "back": reverse("admin:billing_refundrequest_changelist"),
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/act.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything to decide by, on one page."""
        refund = self._find(object_id)
        if not self.has_view_permission(request, refund):
            raise PermissionDenied
        return TemplateResponse(request, "admin/refund.html", self._context(request, refund))

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """One act on a request; it is recorded with who did it, and a refusal is told in words."""
        refund = self._find(object_id)
        act = ACTS.get(name)
        if act is None:
            raise Http404
        permission, do = act
        if not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            if name in OVER_THE_NETWORK:
                done = do(request, refund)
                record(request, refund, done)
            else:
                with recorded(request, refund) as note:
                    done = note.text = do(request, refund)
        except (refunds.RefundError, refunding.PartError) as error:
            messages.error(request, str(error))
        else:
            messages.success(request, done)
        return redirect("admin:billing_refundrequest_change", refund.pk)

    @staticmethod
    def _find(object_id: str) -> RefundRequest:
        requests = RefundRequest.objects.select_related("customer", "proposed_by")
        return get_object_or_404(requests, pk=row_id(object_id))

    def _context(self, request: HttpRequest, refund: RefundRequest) -> dict[str, Any]:
        now, customer = timezone.now(), refund.customer
        is_at_desk = refund.state in RefundRequest.AT_DESK
        most = refunds.most_now(refund)
        topups = TopUp.objects.filter(customer=customer, state=TopUp.State.PAID)
        by_method = (
            topups.values("method")
            .order_by("method")
            .annotate(count=Count("pk"), amount=Sum("amount"), refunded=Sum("refunded"), disputed=Sum("disputed"))
        )
        limit = settings.REFUND_SUPPORT_LIMIT
        return {
            **self.admin_site.each_context(request),
            "title": refund.number,
            "opts": self.opts,
            "refund": refund,
            "customer": customer,
            "members": customer.members.all()[:5],
            "wallet": Wallet.objects.get(pk=customer.pk),
            "numbers": refunds.refundable(customer_id=customer.pk),
            "most": most,
            "is_at_desk": is_at_desk,
            "is_overdue": is_at_desk and refund.due_at < now,
            "is_own": customer.members.filter(pk=request.user.pk).exists(),
            "limit": limit,
            "is_large": most + refunds.counted_for_limit(refund, now=now) > limit,
            "may_handle": request.user.has_perm(HANDLE),
            "may_finance": request.user.has_perm(FINANCE),
            "ways": plan(customer_id=customer.pk, amount=most, now=now) if is_at_desk and most else [],
            "tasks": invoices.open_tasks_for(refund_id=refund.pk),
            "parts": refund.parts.select_related("topup").order_by("number"),
            "by_method": [row | {"method": Method(row["method"]).label} for row in by_method],
            "earlier": RefundRequest.objects.filter(customer=customer).exclude(pk=refund.pk).order_by("-id")[:10],
            "next": RefundRequest.objects.filter(state__in=RefundRequest.AT_DESK)
            .exclude(pk=refund.pk)
            .select_related("customer")
            .order_by(*QUEUE)
            .first(),
            "media": self.media,
        }


def _approve(request: HttpRequest, refund: RefundRequest) -> str:
    amount, words = request.POST.get("amount", ""), request.POST.get("words", "")
    refunds.approve(refund_id=refund.pk, amount=amount, words=words, by=cast(User, request.user), now=timezone.now())
    return _("Approved: $%(amount)s. It is being sent.") % {"amount": amount}


def _propose(request: HttpRequest, refund: RefundRequest) -> str:
    amount = request.POST.get("amount", "")
    refunds.propose(refund_id=refund.pk, amount=amount, by=cast(User, request.user), now=timezone.now())
    return _("Proposed: $%(amount)s. Somebody else of finance approves it.") % {"amount": amount}


def _deny(request: HttpRequest, refund: RefundRequest) -> str:
    words = request.POST.get("words", "")
    refunds.deny(refund_id=refund.pk, words=words, by=cast(User, request.user), now=timezone.now())
    return _("Closed with these words: %(words)s") % {"words": words[:200]}


def _ask_back(request: HttpRequest, refund: RefundRequest) -> str:
    question = request.POST.get("words", "")
    refunds.ask_back(refund_id=refund.pk, question=question, by=cast(User, request.user), now=timezone.now())
    return _("Asked: %(words)s") % {"words": question[:200]}


def _part(request: HttpRequest, refund: RefundRequest) -> RefundPart:
    return get_object_or_404(refund.parts, number=row_id(request.POST.get("part", "")))


def _look(request: HttpRequest, refund: RefundRequest) -> str:
    part = _part(request, refund)
    outcome = refunding.look(part_id=part.pk, now=timezone.now())
    return _("The provider says of part %(part)s: %(outcome)s.") % {"part": part.number, "outcome": outcome.value}


def _record_transfer(request: HttpRequest, refund: RefundRequest) -> str:
    part = refunding.record_transfer(
        part_id=_part(request, refund).pk,
        reference=request.POST.get("reference", ""),
        by=cast(User, request.user),
        now=timezone.now(),
    )
    if part.confirmed_by_id is None:
        return _("Recorded: %(reference)s. Somebody else confirms it.") % {"reference": part.bank_reference}
    return _("Confirmed: %(reference)s.") % {"reference": part.bank_reference}


def _withdraw_transfer(request: HttpRequest, refund: RefundRequest) -> str:
    part = _part(request, refund)
    refunding.withdraw_transfer(part_id=part.pk, by=cast(User, request.user), now=timezone.now())
    return _("Taken back: %(reference)s.") % {"reference": part.bank_reference}


def _give_back(request: HttpRequest, refund: RefundRequest) -> str:
    part = refunding.give_back(part_id=_part(request, refund).pk, by=cast(User, request.user), now=timezone.now())
    return _("Part %(part)s is the customer's balance again.") % {"part": part.number}


ACTS: dict[str, tuple[str, Callable[[HttpRequest, RefundRequest], str]]] = {
    "approve": (HANDLE, _approve),
    "propose": (HANDLE, _propose),
    "deny": (HANDLE, _deny),
    "ask": (HANDLE, _ask_back),
    "look": (HANDLE, _look),
    "record-transfer": (FINANCE, _record_transfer),
    "withdraw-transfer": (FINANCE, _withdraw_transfer),
    "give-back": (FINANCE, _give_back),
}
OVER_THE_NETWORK = ("look", "give-back")
"""They ask a provider, which no transaction waits for."""
