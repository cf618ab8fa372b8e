"""The page of sessions and security: where one is logged in, and what happened to the login and the keys."""

from typing import cast

from allauth.account.decorators import reauthentication_required
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import security
from accounts.customers import memberships
from accounts.models import SecurityEvent, User
from accounts.roles import Right, rights_of

MOST_EVENTS = 100


@never_cache
@login_required
@reauthentication_required(allow_get=True)
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """GET shows them; POST ends one session (`end`, its id) or all others (`end=others`)."""
    user = cast(User, request.user)
    sessions: list[UserSession] = UserSession.objects.purge_and_list(user)
    here = request.session.session_key
    if request.method == "POST":
        which = request.POST.get("end", "")
        ended = [s for s in sessions if s.session_key != here and which in ("others", str(s.pk))]
        for session in ended:
            session.end()
            security.note(security.Kind.SESSION_ENDED, request=request, user=user, address_of_session=session.ip)
        if ended:
            messages.success(request, _("Ended. That browser has to log in again."))
        return redirect("security")
    watched = [m.customer_id for m in memberships(user) if Right.OTHERS_KEYS in rights_of(m.role)]
    events = SecurityEvent.objects.filter(Q(user=user) | Q(customer__in=watched)).select_related("user")
    context = {
        "sessions": sorted(sessions, key=lambda session: session.last_seen_at, reverse=True),
        "here": here,
        "events": events.order_by("-id")[:MOST_EVENTS],
    }
    return render(request, "account/security.html", context)
