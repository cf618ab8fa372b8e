"""Refunds for staff: the queue by due time, one page with all that is needed to decide, and the acts on it."""

from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing import invoices, refunds
from billing.models import RefundRequest
from desk.canned import canned
from desk.customers.naming import named
from desk.refunds.acts import ACTS, FINANCE, HANDLE, OVER_THE_NETWORK
from desk.requests import RequestDesk, RequestQueue, next_after
from desk.site import Colours, record, row_id
from desk.trail import recorded, staff_of
from payments import refunds as refunding
from payments.models import Method, RefundPart, TopUp
from payments.refunds.plan import plan


class RefundQueue(RequestQueue):
    waiting = RefundRequest.FOR_STAFF
    MORE = (
        ("asked", gettext_lazy("Waiting for the customer's answer")),
        ("way", gettext_lazy("On the way")),
        ("parked", gettext_lazy("With a part that waits for staff")),
        ("contradicted", gettext_lazy("Contradicted by the provider")),
        ("owed", gettext_lazy("Owed by the customer")),
    )

    def narrowed(self, chosen: str, queryset: QuerySet[RefundRequest]) -> QuerySet[RefundRequest] | None:
        if chosen == "asked":
            return queryset.filter(RefundRequest.NEEDS_ANSWER)
        if chosen == "way":
            begun = Q(state__in=(RefundRequest.State.APPROVED, RefundRequest.State.SENDING))
            return queryset.filter(begun | Q(pk__in=_with_part(RefundPart.State.SENDING)))
        if chosen == "parked":
            return queryset.filter(pk__in=_with_part(RefundPart.State.PARKED))
        if chosen == "contradicted":
            return queryset.filter(pk__in=refunding.contradicted().values("refund_id"))
        return queryset.filter(excess__gt=0) if chosen == "owed" else None


def _with_part(state: str) -> QuerySet[RefundPart, int]:
    return RefundPart.objects.filter(state=state).values_list("refund_id", flat=True)


def _for(request: HttpRequest) -> QuerySet[RefundRequest]:
    """What this person may move on: what they proposed waits for somebody else."""
    proposed = Q(proposed__isnull=False, proposed_by=staff_of(request))
    return RefundRequest.objects.filter(RefundRequest.FOR_STAFF & ~proposed)


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
class RefundDesk(RequestDesk):
    right = HANDLE
    list_display = ("number", "customer", "asked", "state_shown", "due", "problem", "origin")
    list_filter = (RefundQueue,)
    search_fields = ("number__exact", "reference__exact", "customer__members__email__exact", "parts__key__exact")
    search_help_text = gettext_lazy("Number, reference, a member's address, or our number at the provider.")

    @display(description=gettext_lazy("Asked"), ordering="amount")
    def asked(self, refund: RefundRequest) -> str:
        if refund.granted:
            return _("$%(part)s of $%(whole)s") % {"part": refund.granted, "whole": refund.amount}
        return f"${refund.amount}"

    def is_waiting(self, request: RefundRequest) -> bool:
        return request.state in RefundRequest.AT_DESK and not request.needs_answer

    @display(
        description=gettext_lazy("State"),
        label=Colours(
            requested="warning", answered="warning", returned="danger", done="success", denied="info", sending="info"
        ),
    )
    def state_shown(self, refund: RefundRequest) -> tuple[str, str]:
        if refund.needs_answer:
            return "asked", _("needs the customer's answer")
        if refund.state in RefundRequest.AT_DESK and refund.answer:
            return "answered", _("answered")
        return refund.state, refund.get_state_display()

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Enter a request that came by mail; the same checks apply as to the customer's own."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MailedForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and form.customer is not None:
            given = dict(form.cleaned_data)
            address = given.pop("email")
            ask = partial(refunds.ask, customer=form.customer, origin=RefundRequest.Origin.STAFF, **given)
            if (answer := self.entered(request, form, ask, address=address)) is not None:
                return answer
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
            refused = self._context(request, self._find(object_id)) | {"refused": name, "typed": request.POST}
            return TemplateResponse(request, "admin/refund.html", refused)
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
        is_large = most + refunds.counted_for_limit(refund, now=now) > limit
        return {
            **self.admin_site.each_context(request),
            "title": refund.number,
            "opts": self.opts,
            "refund": refund,
            "customer": customer,
            "members": customer.members.all()[:5],
            "numbers": refunds.refundable(customer_id=customer.pk),
            "most": most,
            "is_at_desk": is_at_desk,
            "is_overdue": self.is_overdue(refund),
            "is_own": customer.members.filter(pk=request.user.pk).exists(),
            "limit": limit,
            "is_large": is_large,
            "proposes": is_large and not refunds.may_approve(refund, most, by=staff_of(request), now=now),
            "is_under_way": refund.sent != refund.returned,
            "may_handle": request.user.has_perm(HANDLE),
            "may_finance": request.user.has_perm(FINANCE),
            "ways": plan(customer_id=customer.pk, amount=most, now=now) if is_at_desk and most else [],
            "tasks": invoices.open_tasks_for(refund_id=refund.pk),
            "parts": refund.parts.select_related("topup", "recorded_by", "confirmed_by").order_by("number"),
            "by_method": [row | {"method": Method(row["method"]).label} for row in by_method],
            "earlier": RefundRequest.objects.filter(customer=customer).exclude(pk=refund.pk).order_by("-id")[:10],
            "canned": canned(refund.locale),
            "language": dict(settings.LANGUAGES).get(refund.locale, refund.locale),
            "next": next_after(refund, _for(request).select_related("customer")),
            "media": self.media,
        }
