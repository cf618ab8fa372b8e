"""Who sends the console's forms as fast as a program is asked to wait; programs have the API, and its rates."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.limits import rates
from accounts.models import User

COUNTED = ("/console/", "/accounts/sessions/", "/accounts/invitations", "/accounts/switch")
"""Paths below which forms are counted. Logins, addresses and second factors have allauth's rates."""


class FormRate:
    """Middleware: one rate of a person for all these forms. A form without its token, another site's, is not counted.

    The answer is `templates/429.html`, which allauth shows for its own rates, too.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase = self.get_response(request)
        return answer

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponseBase | None:
        if request.method != "POST" or not request.path_info.startswith(COUNTED):
            return None
        user = request.user
        if not isinstance(user, User):
            return None  # the page itself sends strangers away
        standing = rates.count_form(user=user)
        if standing is None or not standing.refusal:
            return None
        answer = render(request, "429.html", {"wait": standing.reset}, status=429)
        answer["Retry-After"] = str(standing.reset)
        return answer
