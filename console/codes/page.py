"""/console/code: a code that gives bonus is entered."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing.bonus.entering import CodeError, enter
from billing.templatetags.money import usd
from console.access.membership import current_customer, current_user
from core.addresses import request_address


class CodeForm(forms.Form):
    code = forms.CharField(max_length=100, label=gettext_lazy("Code"))


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def code_enter(request: HttpRequest) -> HttpResponse:
    customer = current_customer(request)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            use = enter(
                customer=customer,
                user=current_user(request),
                text=form.cleaned_data["code"],
                address=request_address(request),
                now=timezone.now(),
            )
        except CodeError as error:
            form.add_error("code", str(error))
        else:
            messages.success(request, _("%(amount)s of bonus is yours.") % {"amount": usd(use.batch.amount)})
            return redirect("console")
    return render(request, "console/code.html", {"nav": "topup", "form": form}, status=400 if form.errors else 200)
