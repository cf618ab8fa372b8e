"""The staff desk: who belongs to which customer."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.decorators import display

from accounts.limits.figures import Figure, figures_now
from accounts.models import Customer, Membership
from accounts.models.caps import CAPS
from accounts.people import team
from accounts.roles import Role
from core.amounts import written
from desk.site import FormAdmin, NamedFields, asked_once

MOST_INVITATIONS = 50
LAST_OWNER = gettext_lazy("An account has at least one owner: make somebody else one first.")


def _check_owner_left(customer_ids: Iterable[int], *, changed: dict[int, tuple[int, str]]) -> None:
    """Raise `ValidationError` where an account with members would be without an owner.

    `changed`: of memberships by id, the customer and the role that they are to have, (0, "") for one that ends. The
    accounts are locked until it is saved, as `accounts.people.team` does.
    """
    for customer in Customer.objects.filter(pk__in=customer_ids).order_by("pk"):
        team.lock(customer)
        rows = dict(Membership.objects.filter(customer=customer).values_list("pk", "role"))
        before = set(rows.values())
        for pk, (whose, role) in changed.items():
            rows.pop(pk, None)
            if whose == customer.pk:
                rows[pk] = role
        if Role.OWNER in before and rows and Role.OWNER not in rows.values():
            raise ValidationError(LAST_OWNER)


NOTHING = "–"


class MembershipForm(forms.ModelForm):  # type: ignore[type-arg]
    """Nobody adds, changes or ends a membership of their own: who belongs to a customer decides nothing about it."""

    reader_id: int

    is_alone = False
    """Whether it is the page of one membership; an inline's form set looks at all of its forms together."""

    def clean(self) -> dict[str, Any]:
        self.refuse_own()
        if self.instance.pk and {"user", "customer"} & set(self.changed_data):
            raise ValidationError(_("A membership stays its person's and its account's: end it, and add another."))
        if self.is_alone and self.instance.pk and self.has_changed():
            meant = _meant(self)
            _check_owner_left({self.instance.customer_id, meant[0]}, changed={self.instance.pk: meant})
        return self.cleaned_data

    def refuse_own(self) -> None:
        """Raise `ValidationError` where the change, or the end, is of the reader's own."""
        users = {self.initial.get("user"), getattr(self.cleaned_data.get("user"), "pk", None)}
        if self.has_changed() and self.reader_id in users:
            raise ValidationError(_("Your own membership is for somebody else to change."))


class MembershipFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    def save_new(self, form: Any, commit: bool = True) -> Any:
        return _tell(super().save_new(form, commit=commit), before=None)

    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        return _tell(super().save_existing(form, obj, commit=commit), before=form.initial["role"])

    def clean(self) -> None:
        super().clean()
        for form in self.deleted_forms:  # whose own errors count for nothing
            if isinstance(form, MembershipForm):
                form.refuse_own()
        changed = {
            form.instance.pk or -number: (0, "") if form in self.deleted_forms else _meant(form)
            for number, form in enumerate(self.forms, start=1)
            if form.has_changed() or form in self.deleted_forms
        }
        was = Membership.objects.filter(pk__in=changed).values_list("customer_id", flat=True)
        _check_owner_left({*was, *(whose for whose, _role in changed.values())}, changed=changed)


def _tell(member: Membership, *, before: str | None) -> Membership:
    """What staff do is told, and has the same ends, as what owners do; `before` is None for a new member."""
    if before is None:
        team.added(member, now=timezone.now())
    elif before != member.role:
        team.role_changed(member, before=before, by=None, now=timezone.now())
    return member


def _meant(form: Any) -> tuple[int, str]:
    data = getattr(form, "cleaned_data", {})
    customer = data.get("customer") or (form.instance.customer_id and form.instance.customer)
    return getattr(customer, "pk", 0) or 0, data.get("role", "")


def told(figures: Iterable[Figure]) -> str:
    """Caps and their state, a line each."""
    names = (gettext_lazy("a day"), gettext_lazy("a week"), gettext_lazy("a month"), gettext_lazy("in all"))
    rows = (
        (
            names[one.period],
            NOTHING if one.limit is None else written(one.limit, places=2),
            written(one.charged, places=4),
            written(one.held, places=4),
            "" if one.resets_at is None else f"{one.resets_at:%Y-%m-%d %H:%M}",
        )
        for one in figures
    )
    line = _("{}: at most {}; charged {}, held {}")
    return format_html_join("", f"<div>{line} {{}}</div>", rows)


def _read_by(request: HttpRequest, *, is_alone: bool = False) -> type[MembershipForm]:
    return type("OwnMembershipForm", (MembershipForm,), {"reader_id": request.user.pk, "is_alone": is_alone})


class MembershipInline(NamedFields, TabularInline):  # type: ignore[misc]
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
    exclude = CAPS  # owners set them, under the lock of the wallet
    readonly_fields = ("caps", "created_at")

    @display(description=gettext_lazy("Caps, and what is spent of them"))
    def caps(self, member: Membership) -> str:
        return told(figures_now(member, now=timezone.now()))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **{**kwargs, "form": _read_by(request, is_alone=True)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        _tell(obj, before=form.initial["role"] if change else None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and (obj.user_id == request.user.pk or _is_needed(obj)):
            return False
        return bool(super().has_delete_permission(request, obj))


def _is_needed(member: Membership) -> bool:
    """Whether an account with other members has no other owner."""
    others = Membership.objects.filter(customer_id=member.customer_id).exclude(pk=member.pk)
    return member.role == Role.OWNER and others.exists() and not others.filter(role=Role.OWNER).exists()


@asked_once
def invitations_of(customer: Customer) -> str:
    """A customer's latest invitations, a line each. Their links are nobody's to read."""
    now = timezone.now()
    lines = (
        (f"{one.created_at:%Y-%m-%d %H:%M}", one.email, one.role, one.standing(now=now), one.invited_by or "-")
        for one in customer.invitations.select_related("invited_by").order_by("-pk")[:MOST_INVITATIONS]
    )
    return format_html_join("", "<div>{}: {}, {}, {} ({})</div>", lines) or "-"
