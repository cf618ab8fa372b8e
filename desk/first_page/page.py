"""The staff's first page: a search that finds one thing opens it."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from core import panels

Index = Callable[..., HttpResponse]


def opening(index: Index) -> Index:
    """The first page as `index` makes it, but for a search with a single hit, which leads to it."""

    @wraps(index)
    def page(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        text = request.GET.get("q", "")
        found = panels.find(request, text) if text else []
        if len(found) == 1 and not found[0].is_offer:
            return redirect(found[0].link)
        return index(request, {**(extra_context or {}), "found": found})

    return page
