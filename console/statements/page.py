"""Pages of statements: the account's months, one month with its lines, and its files."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.roles import Right, rights_of
from billing import invoices
from billing.statements import reading
from billing.statements.usage import tables
from console.access.membership import current_customer, current_membership
from core.web.downloads import as_file


@never_cache
@login_required
@require_safe
def statement_list(request: HttpRequest) -> HttpResponse:
    """The account's months, the newest first."""
    found = reading.all_of(current_customer(request), now=timezone.now())
    return render(request, "console/statements.html", {"nav": "transactions", "statements": found})


@never_cache
@login_required
@require_safe
def statement_show(request: HttpRequest, month: str) -> HttpResponse:
    """One month; an open one as it stands. Who may ask for invoices is led to one over what was paid in it."""
    membership, now = current_membership(request), timezone.now()
    statement = _statement(request, month)
    context: dict[str, Any] = {"nav": "transactions", "statement": statement, "tables": tables(statement["usage"])}
    if Right.INVOICES in rights_of(membership.role):
        found = invoices.months_of(membership.customer, now=now)
        context["to_invoice"] = [one for one in found if one.name == month]
    return render(request, "console/statement.html", context)


@never_cache
@login_required
@require_safe
def statement_csv(request: HttpRequest, month: str) -> HttpResponse:
    content = reading.as_csv(_statement(request, month)).encode()
    return as_file(name=f"statement-{month}.csv", kind="text/csv; charset=utf-8", content=content)


@never_cache
@login_required
@require_safe
def statement_pdf(request: HttpRequest, month: str) -> HttpResponse:
    """A closed month in the language of who looks."""
    customer, now = current_customer(request), timezone.now()
    if not reading.is_month(month):
        raise Http404
    paper = reading.pdf(customer, month, locale=get_language() or "en", now=now)
    if paper is None:
        raise Http404
    return as_file(name=f"statement-{month}.pdf", kind="application/pdf", content=paper.content)


def _statement(request: HttpRequest, month: str) -> dict[str, Any]:
    found = reading.one(current_customer(request), month, now=timezone.now()) if reading.is_month(month) else None
    if found is None:
        raise Http404
    return found
