"""/console/start: how to use Chuizi from an agent or a program, with the reader's own address and models."""

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.groups import group_of
from accounts.models import ApiKey
from console.access.membership import current_customer
from console.start.agents import AGENTS
from console.start.guide import Settings
from console.start.sdks import SDKS
from proxy.prices import pricelist

GUIDES = {guide.slug: guide for guide in (*AGENTS, *SDKS)}


@never_cache
@login_required
@require_safe
def start(request: HttpRequest) -> HttpResponse:
    customer = current_customer(request)
    key = ApiKey.objects.filter(customer=customer, is_active=True, child__isnull=True).order_by("-id").first()
    offers = pricelist.offers(group=group_of(customer.group))
    shown = key.prefix if key else "ck-"
    filled = Settings(settings.SITE_URL, f"{shown}...").on_offer(
        offer.slug for offer in offers if offer.is_per_token and offer.output
    )
    guide = GUIDES.get(request.GET.get("with", ""), AGENTS[0])
    context = {
        "nav": "start",
        "groups": ((False, AGENTS), (True, SDKS)),
        "guide": guide,
        "blocks": [(block, filled.fill(block)) for block in guide.blocks],
        "key": key,
    }
    return render(request, "console/start.html", context)
