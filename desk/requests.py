"""What the pages of refunds and invoices share: the queue by due time, who sees it, and the acts on one request."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST
from unfold.decorators import display

from billing.requests.steps import RequestError
from billing.requests.workdays import day_of
from desk.site import ReadOnlyAdmin
from desk.trail import recorded, staff_of

QUEUE = ("due_at", "id")


class RequestQueue(admin.SimpleListFilter):
    """The desk's own work first; everything else on demand.

    `narrowed` gives what the others of `MORE` show, or None for what is at the desk.
    """

    title = gettext_lazy("queue")
    parameter_name = "queue"
    MORE: ClassVar[tuple[tuple[str, Any], ...]]
    waiting: ClassVar[Q]
    """What is staff's to decide."""

    @property
    def named(self) -> tuple[tuple[str, Any], ...]:
        first = (("desk", gettext_lazy("At the desk")), ("overdue", gettext_lazy("Overdue")))
        return (*first, *self.MORE, ("all", gettext_lazy("All")))

    def narrowed(self, chosen: str, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.named[1:]

    def choices(self, changelist: Any) -> Any:
        chosen = self.value() or "desk"
        for value, title in self.named:
            query = changelist.get_query_string({self.parameter_name: value}, ["p"])
            yield {"selected": chosen == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or "desk"
        if chosen == "all" or request.GET.get("q"):
            return queryset
        if (found := self.narrowed(chosen, queryset)) is not None:
            return found
        waiting = queryset.filter(self.waiting)
        return waiting.filter(due_at__lt=timezone.now()) if chosen == "overdue" else waiting


def next_after(request: Any, queue: QuerySet[Any]) -> Any:
    """Which of a queue comes after a request; past the last one it begins anew. None where there is no other."""
    others = queue.exclude(pk=request.pk).order_by(*QUEUE)
    behind = Q(due_at__gt=request.due_at) | Q(due_at=request.due_at, pk__gt=request.pk)
    return others.filter(behind).first() or others.first()


class RequestDesk(ReadOnlyAdmin):
    """A model's requests. Whoever has `right` sees and enters them."""

    right: ClassVar[str]
    list_select_related = ("customer",)
    ordering = QUEUE
    list_per_page = 50

    def act(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """One act on a request; it is recorded with who did it, and a refusal is told in words."""
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.right)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(self.right) or super().has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.act))
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        return [path("<path:object_id>/act/<slug:name>", act, name=name), *super().get_urls()]

    def entered(
        self, request: HttpRequest, form: forms.Form, ask: Callable[..., Any], *, address: str
    ) -> HttpResponse | None:
        """The page of what `ask(entered_by=, now=)` made of a request that came by mail from a customer's address, or
        None with the form's error."""
        try:
            with recorded(request, None) as note:
                made = ask(entered_by=staff_of(request), now=timezone.now())
                note.obj, note.text = made, f"Entered for {address}, {made.reference}"
        except RequestError as error:
            for fault in error.faults:
                form.add_error(fault.field if fault.field in form.fields else None, str(fault))
            return None
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", made.pk)

    def is_waiting(self, request: Any) -> bool:
        """Whether it is staff's to decide."""
        raise NotImplementedError

    def is_overdue(self, request: Any) -> bool:
        """Whether a request waits for staff for longer than was promised."""
        return self.is_waiting(request) and request.due_at < timezone.now()

    @display(description=gettext_lazy("Due"), ordering="due_at")
    def due(self, request: Any) -> str:
        text = day_of(request.due_at)
        if self.is_overdue(request):
            return format_html('<b class="text-red-700 dark:text-red-400">{} {}</b>', text, _("overdue"))
        return text
