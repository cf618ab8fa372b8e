"""The page of sessions and security: where one is logged in, and what happened to the login and its keys."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import SecurityEvent
from accounts.security import log
from accounts.security.sessions import of
from console.access.membership import current_user

MOST_EVENTS = 100


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request: HttpRequest) -> HttpResponse:
    """GET shows them; POST ends one session (`end`, its id) or all others (`end=others`)."""
    user = current_user(request)
    here = request.session.session_key
    found = of(user)
    if request.method == "POST":
        which = request.POST.get("end", "")
        ended = [one for one in found if one.session_key != here and which in ("others", str(one.pk))]
        for session in ended:
            session.end()
            log.note(SecurityEvent.Kind.SESSION_ENDED, request=request, user=user, about=session.ip)
        if ended:
            messages.success(request, _("Ended. That browser has to log in again."))
        return redirect("sessions")
    context = {
        "sessions": found,
        "here": here,
        "events": SecurityEvent.objects.filter(user=user).order_by("-id")[:MOST_EVENTS],
    }
    return render(request, "account/sessions.html", context)
