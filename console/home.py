"""Pages: the landing, the console with its usage and receipts, and the models with their prices."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.groups import group_of
from accounts.models import ApiKey, Customer
from accounts.people.customers import suspension_words
from billing import refunds
from billing.bonus.remaining import endings
from billing.books import history
from billing.books.money import ZERO
from billing.models import Wallet
from console import charts
from console.access.membership import current_customer, reader_group
from console.public_pages import made_once
from proxy.prices import catalog, pricelist
from proxy.records import lists, receipts
from proxy.records.spending import spending

CHART_DAYS = 30
LATEST = 8
EXAMPLE = {"input_tokens": 2000, "output_tokens": 500}
PAYMENT_METHODS = {"stripe": "STRIPE_SECRET_KEY", "alipay": "ALIPAY_APP_ID", "wechat": "WECHATPAY_MCHID"}


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    return redirect(static("favicon.svg"))


@require_safe
@made_once
def landing(request: HttpRequest) -> HttpResponse:
    group = reader_group(request)
    offers = pricelist.offers(group=group)
    first_look = pricelist.one_of_each_provider(offers, most=6)
    entries = catalog.load().models
    context = {
        "group": group,
        "offers": first_look,
        "example": receipts.example_of(entries[first_look[0].slug].at(group.factor), **EXAMPLE) if first_look else None,
        "payment_methods": [name for name, variable in PAYMENT_METHODS.items() if settings.PAYMENT_VARIABLES[variable]],
        "model_count": len(offers),
        "sample_model": pricelist.sample_model(offers),
        "margin_percent": (settings.PRICE_MARGIN - 1) * 100,
        "topup_min": settings.TOPUP_MIN,
    }
    return render(request, "pages/landing.html", context)


@require_safe
@made_once
def models(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "")[:100]
    group = reader_group(request)
    context = {
        "nav": "models",
        "group": group,
        "offers": pricelist.offers(search, group=group),
        "search": search,
        "margin_percent": (settings.PRICE_MARGIN - 1) * 100,
    }
    return render(request, "pages/models.html", context)


@require_safe
def console_without_slash(request: HttpRequest) -> HttpResponse:
    return redirect("console")


@never_cache
@login_required
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    customer = current_customer(request)
    wallet = Wallet.objects.get(customer=customer)
    latest = lists.page_of(customer=customer, filters=lists.Filters(), limit=LATEST).generations
    key = ApiKey.objects.filter(customer=customer, is_active=True, child__isnull=True).order_by("-id").first()
    context = {
        "nav": "wallet",
        "customer": customer,
        "wallet": wallet,
        "suspension": suspension_words(customer.suspended_reason),
        "bar": _bar(wallet),
        "now": timezone.now(),
        "endings": [one for one in endings(customer.pk) if one.left > 0],
        "held_parts": (held_parts := history.held_parts(customer)),
        "questions": refunds.questions_to(customer) if any(part.kind == "refund" for part in held_parts) else [],
        "latest": latest,
        "key": key,
        "sample_model": "" if latest else pricelist.sample_model(pricelist.offers(group=group_of(customer.group))),
        **_chart(customer),
    }
    return render(request, "console/wallet.html", context)


def _bar(wallet: Wallet) -> dict[str, str]:
    """How wide each part of the balance is drawn, in percent. Bonus is spent first, so a hold covers it first."""
    total = max(wallet.balance, wallet.held)
    if total <= 0:
        return {}
    bonus = max(wallet.bonus - wallet.held, ZERO)
    paid = max(wallet.available - bonus, ZERO)
    shares = {"paid": paid, "bonus": bonus, "held": wallet.held}
    drawn: dict[str, str] = {}
    at = 0.0
    for name, amount in shares.items():
        width = float(amount / total * 100)
        drawn |= {name: f"{width:.2f}", f"{name}_x": f"{at:.2f}"}
        at += width
    return drawn


def _chart(customer: Customer) -> dict[str, Any]:
    found = spending(customer=customer, days=CHART_DAYS, now=timezone.now())
    return {"spending": found, "chart": charts.stacked(found), "chart_days": CHART_DAYS, "zone": customer.time_zone}


@never_cache
@login_required
@require_safe
def receipt(request: HttpRequest, generation_id: str) -> HttpResponse:
    found = receipts.receipt_of(customer=current_customer(request), generation_id=generation_id)
    if found is None:
        raise Http404
    return render(request, "console/receipt.html", {"nav": "usage", "receipt": found, "generation": found.generation})
