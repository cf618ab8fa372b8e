"""The staff desk: groups of customers, with the factor of their prices, the models they see and their limits."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.groups import CustomerGroup
from accounts.keys import policies
from accounts.models import Customer, User
from accounts.people.customers import belongs_to_group
from core.clock import database_now
from desk.gateway import price_words
from desk.site import ByRight, FormAdmin
from desk.trail import staff_of
from proxy.prices.below_cost import models_at_a_loss

RIGHT = "proxy.set_prices"


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]
    staff: User
    """Who acts."""

    def clean_models(self) -> list[str]:
        try:
            return policies.model_names(self.cleaned_data["models"])
        except policies.InvalidPolicy as error:
            raise ValidationError(str(error)) from None

    def clean(self) -> None:
        super().clean()
        if belongs_to_group(self.staff, self.cleaned_data.get("name", self.instance.name)):
            raise ValidationError(_("You belong to a customer of this group: somebody else has to decide."))


@admin.register(CustomerGroup)
class CustomerGroupAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    """A customer is in the group whose name its own page says; what changes here counts from its next request."""

    right = RIGHT
    form = GroupForm
    fields = ("name", "factor", "models", "rpm_limit")
    list_display = ("name", "factor", "rpm_limit", "customers")
    search_fields = ("name",)
    ordering = ("name",)
    actions = None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.staff = staff_of(request)
        return form

    def save_model(self, request: HttpRequest, obj: CustomerGroup, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        now = database_now()
        found = models_at_a_loss(now=now, dollars=partial(price_words.dollars, now=now), groups=[obj])
        if obj.factor < 1 and found:
            words = gettext("Below cost for this group, or for everybody: %(models)s.")
            messages.warning(request, words % {"models": ", ".join(found)})

    @display(description=_("Customers"))
    def customers(self, group: CustomerGroup) -> int:
        return Customer.objects.filter(group=group.name).count()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A name stays: the customers in the group say it."""
        return () if obj is None else ("name",)
