"""The staff desk: who belongs to which customer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.admin import TabularInline

from accounts.models import Membership
from desk.site import FormAdmin


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]
    """Nobody adds, changes or ends a membership of their own: who belongs to a customer decides nothing about it."""

    reader_id: int

    def clean(self) -> dict[str, Any]:
        self.refuse_own()
        return self.cleaned_data

    def refuse_own(self) -> None:
        """Raise `ValidationError` where the change, or the end, is of the reader's own."""
        users = {self.initial.get("user"), getattr(self.cleaned_data.get("user"), "pk", None)}
        if self.has_changed() and self.reader_id in users:
            raise ValidationError(_("Your own membership is for somebody else to change."))


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        super().clean()
        for form in self.deleted_forms:  # whose own errors count for nothing
            if isinstance(form, MembershipForm):
                form.refuse_own()


def _read_by(request: HttpRequest) -> type[MembershipForm]:
    return type("OwnMembershipForm", (MembershipForm,), {"reader_id": request.user.pk})


class MembershipInline(TabularInline):  # type: ignore[misc]
    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ("user", "customer")
    fields = ("user", "customer", "role")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_formset(request, obj, **{**kwargs, "form": _read_by(request)})


@admin.register(Membership)
class MembershipAdmin(FormAdmin):  # type: ignore[misc]
    list_display = ("user", "customer", "role", "created_at")
    list_select_related = ("user", "customer")
    autocomplete_fields = ("user", "customer")
    search_fields = ("=user__email", "customer__name")
    readonly_fields = ("created_at",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **{**kwargs, "form": _read_by(request)})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.user_id != request.user.pk)
