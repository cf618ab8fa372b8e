"""Logins end: some time after they were last used, and some time after they began, sooner for staff."""

import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

BEGAN, SEEN = "began_at", "seen_at"
SEEN_EVERY = 60
"""Seconds between two writes of when a session was last used."""
HOUR = 3600
IDLE = {True: HOUR, False: 14 * 24 * HOUR}
"""Seconds without a request, by whether the person is of the staff."""


def longest(*, is_staff: bool) -> int:
    """Seconds from the login to its end, however much it is used."""
    return settings.STAFF_SESSION_HOURS * HOUR if is_staff else settings.SESSION_COOKIE_AGE


class SessionEnds:
    """Middleware: whose session is over goes on as a stranger."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user: Any = request.user
        if user.is_authenticated:
            self._look(request, is_staff=user.is_staff)
        return self.get_response(request)

    @staticmethod
    def _look(request: HttpRequest, *, is_staff: bool) -> None:
        now = int(time.time())
        began, seen = request.session.get(BEGAN), request.session.get(SEEN)
        if began is None or seen is None:
            request.session[BEGAN], request.session[SEEN] = now if began is None else began, now
        elif now - seen > IDLE[is_staff] or now - began > longest(is_staff=is_staff):
            logout(request)
        elif now - seen >= SEEN_EVERY:
            request.session[SEEN] = now
            UserSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=timezone.now())


def begin(sender: Any, request: HttpRequest, **_kwargs: Any) -> None:
    """Signal after a login."""
    request.session[BEGAN] = request.session[SEEN] = int(time.time())


def connect() -> None:
    user_logged_in.connect(begin, dispatch_uid="session_began")
