"""Invoices for staff: the queue by due time, one page with all that is needed to issue, and what was given out."""

from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET
from unfold.decorators import action, display

from accounts.people.customers import belongs_to
from billing import invoices
from billing.invoices.form import InvoiceForm
from billing.invoices.papers.files import MOST_BYTES
from billing.models import CreditTask, Document, InvoiceRequest, InvoiceSeries
from core.web.downloads import as_file
from desk.canned import DENYING_INVOICES, said_in
from desk.customers.naming import named
from desk.invoices import fapiao
from desk.invoices.acts import ACTS, DETAILS, FINANCE, HANDLE, series_named
from desk.requests import RequestDesk, RequestQueue, next_after
from desk.site import ByRight, Colours, FormAdmin, ReadOnlyAdmin, row_id
from desk.trail import recorded, staff_of

State = InvoiceRequest.State
AT_DESK = (State.REQUESTED,)


class InvoiceQueue(RequestQueue):
    waiting = Q(state__in=AT_DESK)
    MORE = (
        ("fapiao", gettext_lazy("Fapiao")),
        ("post", gettext_lazy("To be posted")),
        ("credit", gettext_lazy("Credit notes wanted")),
    )

    def narrowed(self, chosen: str, queryset: QuerySet[InvoiceRequest]) -> QuerySet[InvoiceRequest] | None:
        if chosen == "post":
            return queryset.filter(delivery="post", posted_at__isnull=True, state__in=InvoiceRequest.STANDING)
        if chosen == "credit":
            return queryset.filter(pk__in=CreditTask.objects.filter(state="open").values("request_id"))
        if chosen == "fapiao":
            return queryset.filter(state__in=AT_DESK).exclude(invoice_type=InvoiceRequest.Type.COMMERCIAL)
        return None


class MailedForm(InvoiceForm):
    """A request that came by mail, for a customer who is named by address."""

    by_staff = True
    customer_email = forms.CharField(max_length=254, label=gettext_lazy("The customer's address"))
    reference = forms.CharField(label=gettext_lazy("Reference of the mail"), max_length=200)
    field_order = ("customer_email", "reference")

    def clean_customer_email(self) -> str:
        text = str(self.cleaned_data["customer_email"])
        self.customer = named(text)
        return text


@admin.register(InvoiceRequest)
class InvoiceDesk(RequestDesk):
    right = HANDLE
    list_display = ("number", "customer", "company_name", "asked", "invoice_type", "state_shown", "due")
    list_filter = (InvoiceQueue,)
    search_fields = (
        *("number__exact", "documents__number__exact", "reference__exact", "tax_id__exact"),
        "customer__members__email__exact",
    )
    search_help_text = gettext_lazy("Number of the request or document, reference, tax number or a member's address.")
    actions_list = ("export_fapiao", "import_fapiao")

    def is_waiting(self, request: InvoiceRequest) -> bool:
        return request.state in AT_DESK

    def has_handle_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(HANDLE)

    @display(description=gettext_lazy("Amount"), ordering="amount")
    def asked(self, invoice: InvoiceRequest) -> str:
        return f"{invoice.amount}\u00a0{invoice.currency}"

    @display(
        description=gettext_lazy("State"),
        label=Colours(requested="warning", issued="success", denied="info", partly_credited="info"),
    )
    def state_shown(self, invoice: InvoiceRequest) -> tuple[str, str]:
        return invoice.state, invoice.get_state_display()

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_GET(self.preview))
        own = path("<path:object_id>/preview", preview, name="billing_invoicerequest_preview")
        return [own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Enter a request that came by mail; the same checks apply as to the customer's own."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MailedForm(request.POST or None, currencies=["USD", "CNY"], initial={"currency": "USD"})
        if request.method == "POST" and form.is_valid() and form.customer is not None:
            given = dict(form.cleaned_data)
            address = given.pop("customer_email")
            ask = partial(invoices.ask, customer=form.customer, **given)
            if (answer := self.entered(request, form, ask, address=address)) is not None:
                return answer
        context = {
            **self.admin_site.each_context(request),
            "title": _("A request that came by mail"),
            "opts": self.opts,
            "form": form,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/invoice_add.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything to issue by, on one page."""
        invoice = self._find(object_id)
        if not self.has_view_permission(request, invoice):
            raise PermissionDenied
        return self._page(request, invoice)

    def _page(self, request: HttpRequest, invoice: InvoiceRequest, *, refused: str = "") -> HttpResponse:
        """`refused` is the act whose form keeps what was typed."""
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media}
        context |= _shown(request, invoice)
        if refused:
            said = context["form"].initial | {name: request.POST[name] for name in DETAILS if name in request.POST}
            context |= {"typed": {refused: request.POST}}
            if refused == "reissue":
                context["form"] = InvoiceForm(currencies=["USD", "CNY"], initial=said)
        return TemplateResponse(request, "admin/invoice.html", context)

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        invoice = self._find(object_id)
        act = ACTS.get(name)
        if act is None:
            raise Http404
        permission, do = act
        if not request.user.has_perm(permission):
            raise PermissionDenied
        try:
            with recorded(request, invoice) as note:
                done = note.text = do(request, invoice)
        except invoices.InvoiceError as error:
            messages.error(request, str(error))
            return self._page(request, self._find(object_id), refused=name)
        messages.success(request, done)
        return redirect("admin:billing_invoicerequest_change", invoice.pk)

    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The page that would be issued, before it takes a number."""
        invoice = self._find(object_id)
        if not request.user.has_perm(HANDLE):
            raise PermissionDenied
        if invoice.state != State.REQUESTED or invoice.is_fapiao:
            raise Http404
        try:
            series = series_named(request.GET.get("series", ""), invoice)
        except invoices.InvoiceError as error:
            messages.error(request, str(error))
            return redirect("admin:billing_invoicerequest_change", invoice.pk)
        page = invoices.preview(request_id=invoice.pk, series=series, by=staff_of(request), now=timezone.now())
        answer = HttpResponse(page, content_type="application/pdf")
        answer["Content-Disposition"] = f'attachment; filename="preview-{invoice.number}.pdf"'
        return answer

    @action(description=gettext_lazy("Fapiao to make, as a sheet"), icon="download", permissions=["handle"])
    def export_fapiao(self, request: HttpRequest) -> HttpResponseBase:
        """The fapiao requests at the desk, for the tax platform."""
        answer = HttpResponse("".join(fapiao.sheet()), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="fapiao-{timezone.now():%Y-%m-%d}.csv"'
        return answer

    @action(description=gettext_lazy("Record fapiao files"), icon="upload_file", permissions=["handle"])
    def import_fapiao(self, request: HttpRequest) -> HttpResponse:
        """Take in files of the tax platform, each matched by the request's number in its name."""
        results: list[fapiao.Taken] = []
        if request.method == "POST":
            files = request.FILES.getlist("files")
            if not files:
                messages.error(request, _("Choose files first."))
            if len(files) > fapiao.MOST_FILES:
                messages.error(request, _("At most %(most)s files at once, please.") % {"most": fapiao.MOST_FILES})
                files = []
            for file in files:
                content = file.read(MOST_BYTES + 1)
                results.append(fapiao.take(request, name=file.name or "", content=content, by=staff_of(request)))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Record fapiao files"),
            "opts": self.opts,
            "results": results,
            "most": fapiao.MOST_FILES,
            "megabytes": settings.MAX_BODY_BYTES // 1_000_000,
        }
        return TemplateResponse(request, "admin/fapiao.html", context)

    @staticmethod
    def _find(object_id: str) -> InvoiceRequest:
        return get_object_or_404(InvoiceRequest.objects.select_related("customer", "replaces"), pk=row_id(object_id))


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """What was given out, to read and download."""

    list_display = ("number", "kind", "customer", "gross", "currency", "issued_at", "issued_by")
    list_filter = ("kind", "currency")
    list_select_related = ("customer", "issued_by")
    search_fields = ("number__exact", "customer__members__email__exact")
    ordering = ("-id",)
    exclude = ("content",)
    actions_detail = ("download",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(HANDLE) or super().has_view_permission(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        found: QuerySet[Document] = super().get_queryset(request).defer("content")
        return found

    def get_urls(self) -> list[URLPattern]:
        file = self.admin_site.admin_view(require_GET(self.file))
        return [path("<int:object_id>/file", file, name="billing_document_file"), *super().get_urls()]

    def file(self, request: HttpRequest, object_id: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        document = get_object_or_404(Document, pk=object_id)
        return as_file(name=document.file_name, kind=document.content_type, content=document.content)

    @action(description=gettext_lazy("Download"), icon="download", permissions=["view"], url_path="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return redirect("admin:billing_document_file", object_id)


@admin.register(InvoiceSeries)
class InvoiceSeriesAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    """The seller's details. What was printed stays as it was; the next document takes these."""

    right = FINANCE
    list_display = ("prefix", "currency", "tax_rate", "seller_name_en", "next_number", "is_active")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Once a number was given out, the prefix stands on a document."""
        return ("next_number", "prefix") if obj is not None and obj.next_number > 1 else ("next_number",)


def _shown(request: HttpRequest, invoice: InvoiceRequest) -> dict[str, Any]:
    now, customer = timezone.now(), invoice.customer
    is_standing = invoice.state in InvoiceRequest.STANDING
    return {
        "title": invoice.number,
        "invoice": invoice,
        "customer": customer,
        "members": customer.members.all()[:5],
        "numbers": invoices.invoiceable(customer_id=customer.pk, currency=invoice.currency, now=now),
        "allocations": invoice.allocations.order_by("paid_at", "source_id"),
        "documents": invoice.documents.defer("content").select_related("refers_to", "issued_by").order_by("id"),
        "tasks": invoice.tasks.filter(state="open").select_related("refund").order_by("id"),
        "series": invoices.series_in_use(currency=invoice.currency),
        "earlier": InvoiceRequest.objects.filter(customer=customer).exclude(pk=invoice.pk).order_by("-id")[:10],
        "canned": said_in(invoice.locale, DENYING_INVOICES),
        "language": dict(settings.LANGUAGES).get(invoice.locale, invoice.locale),
        "next": next_after(invoice, InvoiceRequest.objects.filter(state=State.REQUESTED)),
        "is_requested": invoice.state == State.REQUESTED,
        "is_standing": is_standing,
        "is_overdue": invoice.state == State.REQUESTED and invoice.due_at < now,
        "is_own": belongs_to(staff_of(request), customer.pk),
        "left": invoice.amount - invoice.credited,
        "may_handle": request.user.has_perm(HANDLE),
        "may_finance": request.user.has_perm(FINANCE),
        "form": InvoiceForm(currencies=["USD", "CNY"], initial={name: getattr(invoice, name) for name in DETAILS}),
    }
