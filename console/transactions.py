"""Pages about money: the transactions and the FAQ."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.books import history
from billing.books.allowance import SHARE
from billing.books.history import Side
from console.access.membership import current_customer


@never_cache
@login_required
@require_safe
def transactions(request: HttpRequest) -> HttpResponse:
    side = request.GET.get("side", "")
    chosen = Side(side) if side in list(Side) else Side.ALL
    page = history.page_of(
        customer=current_customer(request),
        before=_number(request.GET.get("before")),
        after=_number(request.GET.get("after")),
        side=chosen,
    )
    context = {"nav": "transactions", "page": page, "side": chosen, "side_query": f"side={chosen}"}
    return render(request, "console/transactions.html", context)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


@require_safe
def help_billing(request: HttpRequest) -> HttpResponse:
    context = {
        "nav": "help",
        "margin_percent": (settings.PRICE_MARGIN - 1) * 100,
        "topup_min": settings.TOPUP_MIN,
        "topup_max": settings.TOPUP_MAX,
        "overrun_limit": settings.OVERRUN_LIMIT,
        "overrun_share": SHARE * 100,
        "overrun_after_days": settings.OVERRUN_AFTER_DAYS,
    }
    return render(request, "pages/help_billing.html", context)
