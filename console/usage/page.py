"""Pages of usage: what was charged, in groups and as a chart, the requests themselves, and all of it as CSV."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import ApiKey, Customer, User
from console import charts
from console.access.membership import current_customer
from console.usage.asking import GROUPS, PRESETS, SHOWN_STATES, Asked, asked
from core.web.streaming import csv_answer
from proxy.ids import is_generation_id
from proxy.models import Model, UsageDay
from proxy.records import lists, sessions, sums
from proxy.records.exported import usage_csv
from proxy.records.spending import spent
from proxy.records.sums import By

NARROWER = {By.DAY: "day", By.MODEL: "model", By.KEY: "key", By.MEMBER: "member"}
"""By what is grouped, the name in an address that leads to one group's requests."""
MOST_GROUPS = 200


@never_cache
@login_required
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    customer = current_customer(request)
    today = sums.today_of(customer, now=timezone.now())
    found = asked(request.GET.dict(), customer=customer, today=today)
    context = {
        "nav": "usage",
        "asked": found,
        "zone": customer.time_zone,
        "today": today,
        "presets": [(name, label, _address(found, range=name)) for name, label in PRESETS.items()],
        "groups": [(name, label, _address(found, by=name)) for name, label in GROUPS.items()],
        "states": [(state.value, state.label) for state in SHOWN_STATES],
        **_choices(customer),
    }
    if found.errors:
        return render(request, "console/usage.html", context, status=400)
    context |= {"csv": _address(found, by=None), "query": _address(found)}
    before, after = (_id(request.GET.get(name)) for name in ("before", "after"))
    if found.by == "requests":
        context["page"] = _requests(customer, found, before=before, after=after)
    elif found.by == "session":
        context |= _sessions(customer, found, before=before)
    else:
        context |= _groups(customer, found)
    if found.by != "requests":
        of_what = By(found.by) if found.by in (By.KEY, By.MEMBER) else By.MODEL
        spending = spent(customer, of_what, of=found.chosen, most=4)
        context |= {
            "spending": spending,
            "chart": charts.stacked(spending),
            "total": sums.total(customer, of=found.chosen),
        }
    return render(request, "console/usage.html", context)


@never_cache
@login_required
@require_safe
def download(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Every charge and correction as CSV, of any number of days."""
    customer = current_customer(request)
    today = sums.today_of(customer, now=timezone.now())
    found = asked(request.GET.dict(), customer=customer, today=today, most_days=None)
    if found.errors:
        return usage(request)
    chosen = found.chosen
    name = f"usage-{chosen.first}-{chosen.last}.csv"
    return csv_answer(request, usage_csv(customer, of=chosen), name=name)


def _choices(customer: Customer) -> dict[str, Any]:
    makers = set(UsageDay.objects.filter(customer=customer).values_list("maker_id", flat=True).distinct())
    members = User.objects.filter(Q(pk__in=makers) | Q(membership__customer=customer)).distinct().order_by("email")
    return {
        "models": Model.objects.order_by("slug").values_list("pk", "slug"),
        "keys": ApiKey.objects.filter(customer=customer).order_by("-id")[:200],
        "members": members[:200],
    }


def _groups(customer: Customer, found: Asked) -> dict[str, Any]:
    groups = sums.grouped(customer, By(found.by), of=found.chosen)
    names = dict(ApiKey.objects.filter(customer=customer).values_list("pk", "name")) if found.by == By.KEY else {}
    rows = [
        {
            "name": group.name,
            "title": names.get(group.pk, ""),
            "figures": group.figures,
            "address": _narrower(found, group),
        }
        for group in groups[:MOST_GROUPS]
    ]
    return {"rows": rows, "more": len(groups) - len(rows)}


def _narrower(found: Asked, group: sums.Group) -> str:
    by = By(found.by)
    value = {By.DAY: group.name, By.MODEL: group.name}.get(by, str(group.pk))
    if by is By.DAY:
        return _address(found, by="requests", day=value, range=None, **{"from": None, "to": None})
    return _address(found, by="day", **{NARROWER[by]: value})


def _sessions(customer: Customer, found: Asked, *, before: str | None) -> dict[str, Any]:
    page = sessions.newest(customer, of=found.chosen, before=before or "")
    rows = [
        {
            "name": group.name,
            "figures": group.figures,
            "address": _address(found, by="requests", session=group.name),
        }
        for group in page.groups
    ]
    return {
        "rows": rows,
        "more": 0,
        "before": page.before,
        "names_sessions": bool(rows) or sessions.names_any(customer),
    }


def _requests(customer: Customer, found: Asked, *, before: str | None, after: str | None) -> lists.Page:
    chosen = found.chosen
    filters = lists.Filters(
        first=chosen.first if found.names_days else None,
        last=chosen.last if found.names_days else None,
        model_id=chosen.model_id,
        key_id=chosen.key_id,
        member_id=chosen.member_id,
        state=found.state or None,
        session=found.session or None,
    )
    return lists.page_of(customer=customer, filters=filters, before=before, after=after)


def _address(found: Asked, **changed: str | None) -> str:
    """The query of a page like this one with something changed; None leaves a name out."""
    names = ("range", "from", "to", "day", "by", "model", "key", "member", "state", "session")
    query = {name: found.typed[name] for name in names if found.typed.get(name)}
    if changed.get("range"):
        changed |= {"from": None, "to": None, "day": None}
    query |= {name: text for name, text in changed.items() if text is not None}
    return urlencode({name: text for name, text in query.items() if name not in changed or changed[name] is not None})


def _id(text: str | None) -> str | None:
    return text if text and is_generation_id(text) else None
