"""The desk's exchange rates: each change a new row, a jump for two."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action, display

from billing.books.money import convert_to_cny
from desk.site import ByRight, CappedPaginator, Colours, FormAdmin, form_page, row_id
from desk.trail import recorded
from payments.models import ExchangeRate
from payments.topups import fx

EXAMPLE = Decimal(20)
"""USD, whose price in yuan shows what a rate does."""


class RateForm(forms.ModelForm):  # type: ignore[type-arg]
    """Asks again where the rate is far from the last one, and says what it does."""

    sure = forms.BooleanField(
        label=gettext_lazy("It is right, though it is far from the last one"),
        required=False,
        help_text=gettext_lazy("Then a second person of finance confirms it before anything is sold at it."),
    )

    class Meta:
        model = ExchangeRate
        fields = ("rate", "source")

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        rate, now = data.get("rate"), timezone.now()
        if rate is not None and rate > 0 and not data.get("sure") and fx.is_jump(rate, now=now):
            self.add_error("sure", f"{_effect(rate, now=now)} {_('Tick this if that is meant.')}")
        return data


def _effect(rate: Decimal, *, now: datetime) -> str:
    """What a rate does to a price, beside the one that is sold at."""
    last = fx.latest(now=now)
    return _("$%(amount)s will cost ¥%(then)s, now ¥%(now)s.") % {
        "amount": EXAMPLE,
        "then": f"{convert_to_cny(EXAMPLE, rate=rate):,.2f}",
        "now": f"{convert_to_cny(EXAMPLE, rate=last.rate):,.2f}" if last is not None else "—",
    }


@admin.register(ExchangeRate)
class ExchangeRateAdmin(ByRight, FormAdmin):  # type: ignore[misc]
    """Each change of the rate is a new row."""

    right = "payments.set_rates"
    form = RateForm
    actions = None
    paginator = CappedPaginator
    list_display = ("rate", "state", "source", "set_by", "confirmed_by", "created_at")
    SHOWN = ("rate", "state_words", "source", "set_by", "confirmed_by", "created_at")
    list_select_related = ("set_by", "confirmed_by")
    fields = ("rate", "source", "sure")
    ordering = ("-created_at",)
    actions_detail = ("confirm", "drop")

    def offers(self, obj: ExchangeRate, act: str) -> bool:
        return not obj.is_live and obj.dropped_at is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm(self.right)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj is None else self.SHOWN

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.SHOWN

    @display(description=gettext_lazy("State"))
    def state_words(self, rate: ExchangeRate) -> str:
        words: str = self.state(rate)[1]
        return words

    @display(description=gettext_lazy("State"), label=Colours(live="success", waits="warning", dropped="info"))
    def state(self, rate: ExchangeRate) -> tuple[str, str]:
        if rate.is_live:
            return "live", _("live")
        return ("dropped", _("dropped")) if rate.dropped_at else ("waits", _("waits for a second person"))

    def save_model(self, request: HttpRequest, obj: ExchangeRate, form: Any, change: bool) -> None:
        now = timezone.now()
        obj.set_by, obj.created_at = request.user, now  # type: ignore[assignment]
        obj.needs_second = fx.is_jump(obj.rate, now=now)
        super().save_model(request, obj, form, change)
        if obj.needs_second:
            words = _("It waits for a second person of finance; until then the last rate is sold at.")
            messages.warning(request, words)

    @action(description=gettext_lazy("Confirm"), icon="check_circle", permissions=["decide"])
    def confirm(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, _("Confirm"), confirms=True)

    @action(description=gettext_lazy("Drop"), icon="cancel", permissions=["decide"])
    def drop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, _("Drop"), confirms=False)

    def _decide(self, request: HttpRequest, object_id: str, title: str, *, confirms: bool) -> HttpResponse:
        rate = get_object_or_404(ExchangeRate, pk=row_id(object_id))
        form = forms.Form(request.POST if request.method == "POST" else None)
        if request.method != "POST":
            values = {"who": rate.set_by, "rate": f"{rate.rate:.4f}", "source": rate.source}
            text = _("%(who)s set %(rate)s (%(source)s).") % values + "\n" + _effect(rate.rate, now=timezone.now())
            return form_page(request, model_admin=self, obj=rate, form=form, title=title, button=title, text=text)
        user: Any = request.user
        try:
            with recorded(request, rate, f"{title}: {rate.rate}"):
                if confirms:
                    fx.confirm(rate_id=rate.pk, by=user, now=timezone.now())
                else:
                    fx.drop(rate_id=rate.pk, now=timezone.now())
        except fx.RateError as error:
            messages.error(request, str(error))
        else:
            words = _("%(rate)s is sold at from now on.") if confirms else _("%(rate)s is dropped.")
            messages.success(request, words % {"rate": rate.rate})
        return redirect("admin:payments_exchangerate_changelist")
