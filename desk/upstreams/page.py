"""The staff desk: upstreams, what they are asked by, and how they do."""

from functools import partial
from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget

from billing.books.money import shown
from desk.site import (
    ByRight,
    FormAdmin,
    record,
    row_id,
)
from desk.upstreams.health import FIELDS, Healthy, tell
from proxy.health import rows as health
from proxy.health import trying
from proxy.models import Upstream
from proxy.prices.loading import asks_for_key, check_protocol, checked_base_url, checked_paths
from proxy.prices.written import InvalidCatalog
from proxy.purchases import credit

MANAGE = "proxy.manage_upstreams"
OWN = (
    "protocol",
    "kind",
    "account",
    "currency",
    "credit_alarm",
    "base_url",
    "paths",
    "priority",
    "timeout_seconds",
    "total_timeout_seconds",
    "max_concurrency",
    "bills_abandoned",
    "is_active",
)


class UpstreamForm(forms.ModelForm):  # type: ignore[type-arg]
    new_api_key = forms.CharField(
        label=gettext_lazy("API key"),
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Write-only. Empty: the key stays as it is. A changed host asks for it anew."),
    )

    class Meta:
        model = Upstream
        fields = ("name", *OWN)

    def clean_base_url(self) -> str:
        try:
            return checked_base_url(self.cleaned_data["base_url"], _("This upstream"))
        except InvalidCatalog as error:
            raise ValidationError(str(error)) from None

    def clean_paths(self) -> list[str]:
        named = [name.strip() for name in self.cleaned_data["paths"]]
        try:
            return checked_paths(named, _("This upstream")) if named else []
        except InvalidCatalog as error:
            raise ValidationError(str(error)) from None

    def clean(self) -> None:
        super().clean()
        data = self.cleaned_data
        if data.get("is_active") and "protocol" in data and "kind" in data:
            try:
                check_protocol(data["protocol"], data["kind"], _("This upstream"))
            except InvalidCatalog as error:
                raise ValidationError(str(error)) from None
        if (data.get("credit_alarm") or 0) < 0:
            self.add_error("credit_alarm", _("An alarm is set at zero or above."))
        if data.get("max_concurrency") == 0:
            self.add_error("max_concurrency", _("At least one at once; to send none, make it inactive."))
        # The instance is the locked row as it was: what the form says is put on it later.
        if (
            "base_url" in data
            and not data.get("new_api_key")
            and asks_for_key(self.instance, base_url=data["base_url"])
        ):
            self.add_error("new_api_key", _("Another host: enter the key for it. The stored one is not sent there."))

    def save(self, commit: bool = True) -> Upstream:
        upstream: Upstream = super().save(commit=False)
        if self.cleaned_data["new_api_key"]:
            upstream.api_key = self.cleaned_data["new_api_key"]
        if commit:
            upstream.save()
        return upstream


@admin.register(Upstream)
class UpstreamAdmin(Healthy, ByRight, FormAdmin):  # type: ignore[misc]
    """Nobody deletes one: requests name it. It is made inactive."""

    right = MANAGE
    form = UpstreamForm
    list_display = ("name", "does", "last_hour", "protocol", "base_url", "priority", "is_active")
    list_select_related = ("health",)
    search_fields = ("name",)
    actions = None
    actions_detail = ("try_it",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name stays: accounts and transfers say it."""
        return () if obj is None else ("name", "left", *FIELDS)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """How it does stands first."""
        if obj is None:
            return [(None, {"fields": ["name", *OWN, "new_api_key"]})]
        return [
            (gettext_lazy("How it does"), {"fields": FIELDS}),
            (None, {"fields": ["name", *OWN, "new_api_key", "left"]}),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upstream]:
        found: QuerySet[Upstream] = super().get_queryset(request).select_related("health")
        return found

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Locked by itself: the row of how it does is the gateways'."""
        obj = ModelAdmin.get_object(self, request, object_id, from_field)
        if obj is not None and request.method == "POST" and connection.in_atomic_block:
            obj.refresh_from_db(from_queryset=Upstream.objects.select_for_update(no_key=True))
        return obj

    def save_model(self, request: HttpRequest, obj: Upstream, form: Any, change: bool) -> None:
        """What has another key or address is tried at once, and what was said of it before is forgotten."""
        super().save_model(request, obj, form, change)
        if not change or {"base_url", "new_api_key", "protocol"} & set(form.changed_data):
            health.forget(obj.pk)
            transaction.on_commit(
                partial(current_app.send_task, "proxy.tasks.try_upstream", [obj.pk], retry=False), robust=True
            )

    def has_try_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm(MANAGE))

    @action(description=gettext_lazy("Test"), icon="network_check", permissions=["try"], url_path="test")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask it for its models, with its key."""
        upstream = get_object_or_404(Upstream, pk=row_id(object_id))
        tried = trying.try_upstream(upstream.pk)
        record(request, upstream, f"Tested: {tried.outcome.value} {tried.status}".strip())
        tell(request, tried)
        return redirect("admin:proxy_upstream_change", upstream.pk)

    @display(description=gettext_lazy("Prepaid credit"))
    def left(self, upstream: Upstream) -> str:
        return shown(credit.left_at(upstream), currency=upstream.currency)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        has_key = bool(obj is not None and obj.api_key)
        form.base_fields["new_api_key"].widget.attrs["placeholder"] = "••••••••" if has_key else ""
        return form
