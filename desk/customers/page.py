"""The staff desk: a customer."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.models import Customer, User
from accounts.people import customers
from accounts.people.customers import belongs_to
from core import panels
from core.amounts import written
from desk.customers import tabs
from desk.customers.naming import customers_like
from desk.customers.words import Warned, overrun_of
from desk.first_page.typed import read
from desk.memberships import MembershipInline, invitations_of
from desk.payments import automatic
from desk.site import CappedPaginator, Colours, ExactSearch, FormAdmin, WhyForm, form_page, row_id
from desk.trail import recorded
from desk.webhooks import endpoints_of


class SuspensionForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("The customer reads it on the wallet page."),
    )


@admin.register(Customer)
class CustomerAdmin(ExactSearch, Warned, FormAdmin):  # type: ignore[misc]
    list_display = ("name", "id", "group", "state", "available", "held", "created_at")
    list_filter = ("group",)
    list_select_related = ("wallet",)
    search_fields = ("name",)
    search_help_text = gettext_lazy("#number, name, or a member's name, address or domain.")
    ordering = ("-id",)
    paginator = CappedPaginator
    show_full_result_count = False
    actions = None
    actions_detail = ("story", "suspend", "lift_suspension")
    change_form_before_template = "admin/customer_tabs.html"
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("name", "group", "rpm_limit", "time_zone")}),
        (gettext_lazy("Wallet, USD"), {"fields": ("available", "paid", "bonus", "held", "exposure")}),
        (gettext_lazy("Alerts, automatic top-up"), {"fields": ("warned", "automatic")}),
        (gettext_lazy("State"), {"fields": ("suspended_at", "suspended_reason", "created_at")}),
        (gettext_lazy("People"), {"fields": ("invited",)}),
        (gettext_lazy("Webhooks"), {"fields": ("webhooks",)}),
    )
    readonly_fields = (
        "time_zone",
        "available",
        "paid",
        "bonus",
        "held",
        "exposure",
        "automatic",
        "warned",
        "suspended_at",
        "suspended_reason",
        "created_at",
        "invited",
        "webhooks",
    )

    def get_urls(self) -> list[URLPattern]:
        tab = self.admin_site.admin_view(require_safe(self.tab))
        return [path("<int:object_id>/of/<slug:name>/", tab, name="accounts_customer_tab"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        customer = Customer.objects.filter(pk=row_id(object_id)).first()
        shown = list(tabs.links(request, customer, chosen="")) if customer is not None else []
        context = {**(extra_context or {}), "tabs": shown}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    def tab(self, request: HttpRequest, object_id: int, name: str) -> HttpResponse:
        """The latest of something that is the customer's."""
        customer, chosen = get_object_or_404(Customer, pk=object_id), tabs.TABS.get(name)
        if chosen is None:
            raise Http404
        if not (self.has_view_permission(request, customer) and request.user.has_perm(chosen.right)):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": customer.name,
            "opts": self.opts,
            "customer": customer,
            "tabs": tabs.links(request, customer, chosen=name),
            "tab": chosen,
            "table": chosen.table(customer),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/customer_tab.html", context)

    def found(self, term: str) -> Q:
        return Q(pk__in=customers_like(read(term)))

    def offers(self, obj: Customer, act: str) -> bool:
        return {"suspend": not obj.is_suspended, "lift_suspension": obj.is_suspended}.get(act, True)

    def get_readonly_fields(self, request: HttpRequest, obj: Customer | None = None) -> tuple[str, ...]:
        """Nobody raises the limits of a customer they belong to; a group is a factor of the price."""
        fields = self.readonly_fields
        if obj is not None and isinstance(request.user, User) and belongs_to(request.user, obj.pk):
            return (*fields, "group", "rpm_limit")
        return fields if request.user.has_perm("proxy.set_prices") else (*fields, "group")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a customer begins with a confirmed address, or with create_customer

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=gettext_lazy("State"), label=Colours(suspended="danger", active="success"))
    def state(self, customer: Customer) -> tuple[str, str]:
        return ("suspended", _("suspended")) if customer.is_suspended else ("active", _("active"))

    # The wallet is billing's; it is read through its relation, so that accounts need not know billing.
    @display(description=gettext_lazy("Available"))
    def available(self, customer: Any) -> str:
        return written(customer.wallet.available, places=4)

    @display(description=gettext_lazy("Paid"))
    def paid(self, customer: Any) -> str:
        return written(customer.wallet.paid, places=4)

    @display(description=gettext_lazy("Bonus"))
    def bonus(self, customer: Any) -> str:
        return written(customer.wallet.bonus, places=4)

    @display(description=gettext_lazy("Held"))
    def held(self, customer: Any) -> str:
        return written(customer.wallet.held, places=4)

    @display(description=gettext_lazy("May go below zero"))
    def exposure(self, customer: Customer) -> str:
        return overrun_of(customer)

    @display(description=gettext_lazy("Invitations"))
    def invited(self, customer: Customer) -> str:
        return invitations_of(customer)

    @display(description=gettext_lazy("State and attempts"))
    def automatic(self, customer: Customer) -> str:
        return automatic.of_customer(customer)

    @display(description=gettext_lazy("Endpoints"))
    def webhooks(self, customer: Customer) -> str:
        return endpoints_of(customer)

    @action(description=gettext_lazy("Whole story"), icon="history", permissions=["view"])
    def story(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All that happened to a customer, on one page."""
        customer = get_object_or_404(Customer, pk=row_id(object_id))
        context = {
            **self.admin_site.each_context(request),
            "title": customer.name,
            "opts": self.opts,
            "customer": customer,
            "tabs": tabs.links(request, customer, chosen="story"),
            "events": panels.story_of(customer.pk),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/story.html", context)

    @action(description=gettext_lazy("Suspend"), icon="block", permissions=["change"])
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        customer = get_object_or_404(Customer, pk=row_id(object_id))
        if (refusal := _refusal_to_own(request, customer)) is not None:
            return refusal
        form = SuspensionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            reason = form.cleaned_data["reason"]
            with recorded(request, customer, f"Suspended: {reason}", why=reason):
                customers.suspend(customer=customer, reason=reason, now=timezone.now())
            messages.success(request, _("%(name)s is suspended.") % {"name": customer.name})
            return redirect("admin:accounts_customer_change", customer.pk)
        text = _("From the next request on, every key of this customer is refused. The balance stays.")
        return form_page(
            request, model_admin=self, obj=customer, form=form, title=_("Suspend"), button=_("Suspend"), text=text
        )

    @action(description=gettext_lazy("Lift suspension"), icon="check_circle", permissions=["change"])
    def lift_suspension(self, request: HttpRequest, object_id: str) -> HttpResponse:
        customer = get_object_or_404(Customer, pk=row_id(object_id))
        if (refusal := _refusal_to_own(request, customer)) is not None:
            return refusal
        form = WhyForm(request.POST if request.method == "POST" else None)
        form.fields["why"].required = False
        if request.method == "POST" and form.is_valid():
            with recorded(request, customer, "Suspension lifted"):
                customers.lift_suspension(customer=customer)
            messages.success(request, _("%(name)s may spend again.") % {"name": customer.name})
            return redirect("admin:accounts_customer_change", customer.pk)
        return form_page(
            request,
            model_admin=self,
            obj=customer,
            form=form,
            title=_("Lift suspension"),
            button=_("Lift suspension"),
            text=_("The customer's keys work again from the next request on."),
        )


def _refusal_to_own(request: HttpRequest, customer: Customer) -> HttpResponse | None:
    if not isinstance(request.user, User) or not belongs_to(request.user, customer.pk):
        return None
    messages.error(request, _("You belong to this customer: somebody else has to decide."))
    return redirect("admin:accounts_customer_change", customer.pk)
