"""Come into an account by an invitation, look at another of one's accounts, and leave one."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Invitation, SecurityEvent
from accounts.people import inviting, team
from accounts.people.customers import memberships
from accounts.people.team import NotAllowed, TeamError
from accounts.security import log
from console.access.membership import ACCOUNT, current_membership, current_user, look_at
from console.access.reauthentication import confirmed_lately

Kind = SecurityEvent.Kind


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where a mail's link leads: what the invitation is, to anybody who has it; a POST of the right login answers."""
    found = inviting.find(token)
    if found is None:
        return render(request, "account/invitation.html", {"standing": "unknown"}, status=404)
    if request.method == "POST" and not request.user.is_authenticated:
        return redirect(f"/accounts/login/?next={request.path}")
    if request.method == "POST":
        return _answer(request, found)
    return _page(request, found)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitations(request: HttpRequest) -> HttpResponse:
    """What this login is invited to; POST answers one of them."""
    user, now = current_user(request), timezone.now()
    waiting = inviting.waiting_for(user, now=now)
    if request.method == "POST":
        wanted = request.POST.get("invitation", "")
        pk = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
        return _answer(request, get_object_or_404(waiting, pk=pk))
    context = {"invitations": waiting.order_by("-id"), "is_new": not memberships(user).exists()}
    return render(request, "account/invitations.html", context)


def _answer(request: HttpRequest, found: Invitation) -> HttpResponse:
    user, now = current_user(request), timezone.now()
    try:
        with transaction.atomic():
            if request.POST.get("act") == "decline":
                inviting.decline(invitation=found, user=user, now=now)
                log.note_team(Kind.INVITATION_DECLINED, request=request, by=user, about=found.customer.name)
                member = None
            else:
                member = inviting.accept(invitation=found, user=user, now=now)
                log.note_team(
                    Kind.JOINED, request=request, by=user, of=found.invited_by, about=f"{user.email}: {found.customer}"
                )
    except TeamError as error:
        found.refresh_from_db()
        return _page(request, found, problem=str(error), status=403 if isinstance(error, NotAllowed) else 409)
    if member is None:
        messages.success(request, _("Declined."))
    else:
        look_at(request, member)
        messages.success(request, _("You belong to “%(name)s” now.") % {"name": found.customer.name})
    return redirect("console")


def _page(request: HttpRequest, found: Invitation, *, problem: str = "", status: int = 200) -> HttpResponse:
    user = request.user if request.user.is_authenticated else None
    context = {
        "invitation": found,
        "standing": found.standing(now=timezone.now()),
        "is_for": user is not None and inviting.is_for(found, current_user(request)),
        "problem": problem,
    }
    return render(request, "account/invitation.html", context, status=status)


@login_required
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Have the session look at another of one's accounts."""
    wanted = request.POST.get("account", "")
    pk = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
    membership = memberships(current_user(request)).filter(customer_id=pk).first()
    if membership is None:
        raise PermissionDenied(_("You do not belong to this account."))
    look_at(request, membership)
    return redirect("console")


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest) -> HttpResponse:
    """Ask once, then end one's own membership of the account that the session looks at."""
    membership, user, now = current_membership(request), current_user(request), timezone.now()
    problem = ""
    if request.method == "POST":
        try:
            with transaction.atomic():
                team.remove(customer=membership.customer, member_id=membership.pk, by=user, now=now)
                log.note_team(Kind.LEFT, request=request, by=user, about=membership.customer.name)
        except TeamError as error:
            problem = str(error)
        else:
            request.session.pop(ACCOUNT, None)
            messages.success(request, _("You have left “%(name)s”.") % {"name": membership.customer.name})
            return redirect("console")
    context = {
        "nav": "settings",
        "membership": membership,
        "keys": len(team.keys_of(membership, now=now)),
        "problem": problem,
    }
    return render(request, "console/leave.html", context, status=409 if problem else 200)
