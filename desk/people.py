"""The staff desk: people, customers and keys."""

import json
from typing import Any

from allauth.account.admin import EmailAddressAdmin
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from allauth.usersessions.admin import UserSession
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.keys import issuing
from accounts.limits.figures import figures_now
from accounts.models import ApiKey, StaffAction, User, WelcomedAddress
from desk import second_factor
from desk.first_page.page import opening
from desk.memberships import MembershipInline, told
from desk.site import CappedPaginator, FormAdmin, ReadOnlyAdmin
from desk.trail import recorded

# One way to log in for everybody, with its limits of attempts and its second factor.
admin.site.unregister(UserSession)  # a session's key is nobody's to read
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.index = opening(admin.site.index)  # type: ignore[assignment,method-assign]
# What is deleted at once from a list leaves no trace of each; and most rows here are not to be deleted at all.
admin.site.disable_action("delete_selected")
for model in (EmailAddress, Authenticator, Group):
    admin.site.unregister(model)


class NewUserForm(forms.ModelForm):  # type: ignore[type-arg]
    password = forms.CharField(label=gettext_lazy("Password"), widget=UnfoldAdminPasswordWidget, strip=False)

    class Meta:
        model = User
        fields = ("email", "name")
        widgets = {"email": UnfoldAdminEmailInputWidget, "name": UnfoldAdminTextInputWidget}

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()

    def save(self, commit: bool = True) -> User:
        user: User = super().save(commit=False)
        user.set_password(self.cleaned_data["password"])
        if commit:
            user.save()
        return user


@admin.register(User)
class UserAdmin(DjangoUserAdmin, FormAdmin):  # type: ignore[misc,type-arg]
    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_active", "is_staff", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    ordering = ("-id",)
    readonly_fields = ("last_login", "date_joined")
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("email", "password", "name", "language")}),
        (gettext_lazy("Rights"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (gettext_lazy("Times"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password")}),)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> Any:
        return self.inlines if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a login that acted stays in the books; make it inactive


@admin.register(Group)
class GroupAdmin(FormAdmin):  # type: ignore[misc]
    search_fields = ("name",)
    filter_horizontal = ("permissions",)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "permissions":  # each names its content type
            kwargs["queryset"] = Permission.objects.select_related("content_type")
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(EmailAddress)
class ConfirmedAddressAdmin(EmailAddressAdmin, FormAdmin):  # type: ignore[misc]
    autocomplete_fields = ("user",)
    raw_id_fields = ()

    # allauth's own asks for no right, and leaves no trace.
    @admin.action(description=gettext_lazy("Mark as confirmed"), permissions=["change"])
    def make_verified(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for address in queryset.filter(verified=False):
            with recorded(request, address, "Marked as confirmed"):
                address.verified = True
                address.save(update_fields=["verified"])


@admin.register(Authenticator)
class SecondFactorAdmin(ReadOnlyAdmin, AuthenticatorAdmin):  # type: ignore[misc]
    """A lost second factor is deleted here; its secret is never shown."""

    list_display = ("user", "type", "created_at", "last_used_at")
    fields = ("user", "type", "created_at", "last_used_at")
    search_fields = ("user__email",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("mfa.delete_authenticator"))

    def delete_model(self, request: HttpRequest, obj: Authenticator) -> None:
        second_factor.forget(obj)


@admin.register(ApiKey)
class ApiKeyAdmin(FormAdmin):  # type: ignore[misc]
    list_display = ("prefix", "name", "customer", "is_active", "expires_at", "created_at")
    list_filter = ("is_active",)
    list_select_related = ("customer", "meter")
    search_fields = ("prefix", "=customer__members__email")
    search_help_text = gettext_lazy("The first letters (ck-a1B2) or a member's email address.")
    ordering = ("-id",)
    paginator = CappedPaginator
    show_full_result_count = False
    actions = ("disable", "enable")
    fields = (
        "customer",
        "name",
        "prefix",
        "is_active",
        "deleted_at",
        "expires_at",
        "allowed_models",
        "allowed_ips",
        "rpm_limit",
        "concurrency_limit",
        "caps",
        "created_by",
        "created_at",
    )
    readonly_fields = fields

    @display(description=gettext_lazy("Caps, and what is spent of them"))
    def caps(self, key: ApiKey) -> str:
        return told(figures_now(key, now=timezone.now()))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=gettext_lazy("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            with recorded(request, key, "Disabled"):
                issuing.switch(key=key, active=False)

    @admin.action(description=gettext_lazy("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset:
            with recorded(request, key, "Enabled"):
                issuing.switch(key=key, active=True)


@admin.register(WelcomedAddress)
class WelcomedAddressAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "granted_at")
    ordering = ("-granted_at",)


@admin.register(StaffAction)
class StaffActionAdmin(ReadOnlyAdmin):
    """Who did what at this desk. Nobody writes here; the database itself refuses changes."""

    list_display = ("at", "user", "action", "object_type", "linked", "customer", "why")
    list_filter = ("object_type",)
    show_facets = admin.ShowFacets.NEVER
    list_select_related = ("user", "customer")
    search_fields = ("user__email__exact", "object_id__exact", "object_text__exact", "customer__members__email__exact")
    search_help_text = gettext_lazy("A staff or member's address, or an object's number or id in full.")
    ordering = ("-id",)
    fields = (
        "at",
        "user",
        "action",
        "object_type",
        "linked",
        "customer",
        "text",
        "why",
        "address",
        "shown_before",
        "shown_after",
    )
    readonly_fields = ("linked", "shown_before", "shown_after")

    @display(description=gettext_lazy("Object"))
    def linked(self, done: StaffAction) -> str:
        try:
            link = reverse(f"admin:{done.object_type.replace('.', '_')}_change", args=[done.object_id])
        except NoReverseMatch:
            return done.object_text
        return format_html('<a href="{}">{}</a>', link, done.object_text)

    @display(description=gettext_lazy("Before"))
    def shown_before(self, done: StaffAction) -> str:
        return _lines(done.before)

    @display(description=gettext_lazy("After"))
    def shown_after(self, done: StaffAction) -> str:
        return _lines(done.after)


def _lines(values: dict[str, Any]) -> str:
    rows = ((name, json.dumps(value, ensure_ascii=False)) for name, value in sorted(values.items()))
    return format_html_join("", "<div>{}: {}</div>", rows) or "-"
