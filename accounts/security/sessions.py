"""Logins end: some time after they were last used, and some time after they began, sooner for staff."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.signals import user_logged_in
from django.utils import timezone

from accounts.models import SecurityEvent, User
from accounts.security import log

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

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

    def __init__(self, get_response: "Callable[[HttpRequest], HttpResponseBase]") -> None:
        self.get_response = get_response

    def __call__(self, request: "HttpRequest") -> "HttpResponseBase":
        # A session that is read makes the answer one's own (Vary): not where there is none.
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            user: Any = request.user
            if user.is_authenticated:
                self._look(request, user)
        return self.get_response(request)

    @staticmethod
    def _look(request: "HttpRequest", user: User) -> None:
        now, is_staff = int(time.time()), user.is_staff
        began, seen = request.session.get(BEGAN, now), request.session.get(SEEN, 0)
        if seen and (now - seen > IDLE[is_staff] or now - began > longest(is_staff=is_staff)):
            request.session.flush()
            request.user = AnonymousUser()
            log.note(SecurityEvent.Kind.SESSION_ENDED, request=request, user=user, why="idle or too old")
        elif now - seen >= SEEN_EVERY:
            request.session[BEGAN], request.session[SEEN] = began, now
            UserSession.objects.filter(session_key=request.session.session_key).update(last_seen_at=timezone.now())


def of(user: User) -> list[UserSession]:
    """Where this person is logged in, the last used first; what is over is thrown away."""
    since = timezone.now() - timedelta(seconds=IDLE[user.is_staff])
    for idle in UserSession.objects.filter(user=user, last_seen_at__lt=since):
        idle.end()
    found: list[UserSession] = UserSession.objects.purge_and_list(user)
    return sorted(found, key=lambda one: one.last_seen_at, reverse=True)


def begin(sender: Any, request: "HttpRequest", **_given: Any) -> None:
    """Signal after a login."""
    request.session[BEGAN] = request.session[SEEN] = int(time.time())


def connect() -> None:
    """Listen; called once, when the apps are ready."""
    user_logged_in.connect(begin, dispatch_uid="session_began")
