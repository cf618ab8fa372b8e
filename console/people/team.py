"""/console/team: an account's members and invitations, for its owners."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.limits.figures import figures_now
from accounts.models import Customer, Invitation, Membership, SecurityEvent
from accounts.people import inviting
from accounts.people import team as people
from accounts.people.team import NotAllowed, TeamError
from accounts.roles import Right, rights_of
from accounts.security import log
from billing.limits.members import set_caps
from console.access.membership import ACCOUNT, current_membership, current_user
from console.access.reauthentication import confirmed_lately
from console.forms.keys import CapsForm, caps_of
from console.forms.team import InviteForm, RemoveForm, RoleForm

MOST_SHOWN = 50
Kind = SecurityEvent.Kind


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def team(request: HttpRequest) -> HttpResponse:
    """Members and invitations, and the form for another one."""
    membership = current_membership(request)
    customer, now = membership.customer, timezone.now()
    form = InviteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                made = inviting.invite(customer=customer, by=current_user(request), now=now, **form.cleaned_data)
                log.note_team(Kind.INVITED, request=request, by=current_user(request), about=made.email)
        except TeamError as error:
            explain(form, error)
        else:
            messages.success(request, _("We write to %(email)s.") % {"email": made.email})
            return redirect("team")
    invitations = Invitation.objects.filter(customer=customer).select_related("invited_by").order_by("-id")[:MOST_SHOWN]
    context = {
        "nav": "team",
        "form": form,
        "members": people.members(customer),
        "own": membership.user_id,
        "invitations": [(one, one.standing(now=now)) for one in invitations],
    }
    return render(request, "console/team.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def team_invitation(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """Take an invitation back (`act=revoke`), or send it again with another link (`act=again`)."""
    customer, by, now = current_membership(request).customer, current_user(request), timezone.now()
    _invitation(customer, invitation_id)
    is_again = request.POST.get("act") == "again"
    act = inviting.send_again if is_again else inviting.revoke
    try:
        with transaction.atomic():
            found = act(customer=customer, invitation_id=invitation_id, by=by, now=now)
            kind = Kind.INVITED if is_again else Kind.INVITATION_REVOKED
            log.note_team(kind, request=request, by=by, about=found.email)
    except NotAllowed as error:
        raise PermissionDenied(str(error)) from None
    except TeamError as error:
        messages.error(request, str(error))
    else:
        text = _("We write to %(email)s again; the earlier link works no more.") if is_again else _("Taken back.")
        messages.success(request, text % {"email": found.email})
    return redirect("team")


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def team_member(request: HttpRequest, member_id: int) -> HttpResponse:
    """One member; POST gives another role."""
    customer, by = current_membership(request).customer, current_user(request)
    member = _member(customer, member_id)
    form = RoleForm(request.POST if request.method == "POST" else None, initial={"role": member.role})
    if request.method == "POST" and form.is_valid():
        role = form.cleaned_data["role"]
        try:
            with transaction.atomic():
                changed = people.change_role(
                    customer=customer, member_id=member.pk, role=role, by=by, now=timezone.now()
                )
                if role != member.role:
                    about = f"{member.user.email}: {role}"
                    log.note_team(Kind.ROLE_CHANGED, request=request, by=by, of=member.user, about=about)
        except TeamError as error:
            explain(form, error)
        else:
            label = str(Membership.Role(changed.role).label)
            messages.success(request, _("%(who)s: %(role)s.") % {"who": member.user.email, "role": label})
            return redirect("team" if Right.MEMBERS in rights_of(_role_now(customer, by.pk)) else "console")
    return _page(request, member, role_form=form)


@never_cache
@login_required
@confirmed_lately
@require_POST
def team_caps(request: HttpRequest, member_id: int) -> HttpResponse:
    """What all keys of a member may spend together, from the next request on."""
    member = _member(current_membership(request).customer, member_id)
    form = CapsForm(request.POST)
    if form.is_valid():
        try:
            set_caps(membership=member, caps=form.cleaned_data, by=current_user(request), now=timezone.now())
        except TeamError as error:
            explain(form, error)
        else:
            messages.success(request, _("Saved. It counts from the next request on."))
            return redirect("team-member", member.pk)
    return _page(request, member, caps_form=form)


@never_cache
@login_required
@confirmed_lately
@require_POST
def team_remove(request: HttpRequest, member_id: int) -> HttpResponse:
    """End a membership, and what keys it made, but for those that are to live on for some days."""
    customer, by = current_membership(request).customer, current_user(request)
    member = _member(customer, member_id)
    form = _remove_form(member, request.POST)
    if form.is_valid():
        keep = [int(pk) for pk in form.cleaned_data["keep"]]
        under = int(form.cleaned_data["under"]) if keep and form.cleaned_data["under"] else None
        try:
            with transaction.atomic():
                people.remove(customer=customer, member_id=member.pk, by=by, now=timezone.now(), keep=keep, under=under)
                kind = Kind.LEFT if member.user_id == by.pk else Kind.MEMBER_REMOVED
                about = f"{member.user.email}: {customer.name}"
                log.note_team(kind, request=request, by=by, of=member.user, about=about)
        except TeamError as error:
            explain(form, error)
        else:
            text = _("%(who)s no longer belongs to this account.") % {"who": member.user.email}
            messages.success(request, text)
            if member.user_id != by.pk:
                return redirect("team")
            request.session.pop(ACCOUNT, None)
            return redirect("console")
    return _page(request, member, remove_form=form)


def explain(form: Form, error: TeamError) -> None:
    """Say why beside the field; raises `PermissionDenied` for who has lost the right meanwhile."""
    if isinstance(error, NotAllowed):
        raise PermissionDenied(str(error)) from None
    form.add_error(error.field if error.field in form.fields else None, str(error))


def _page(
    request: HttpRequest,
    member: Membership,
    *,
    role_form: RoleForm | None = None,
    remove_form: RemoveForm | None = None,
    caps_form: CapsForm | None = None,
) -> HttpResponse:
    failed = any(form is not None and form.errors for form in (role_form, remove_form, caps_form))
    context: dict[str, Any] = {
        "nav": "team",
        "member": member,
        "is_self": member.user_id == current_user(request).pk,
        "role_form": role_form or RoleForm(initial={"role": member.role}),
        "remove_form": remove_form or _remove_form(member, None),
        "caps_form": caps_form or CapsForm(initial=caps_of(member)),
        "figures": figures_now(member, now=timezone.now()),
        "zone": member.customer.time_zone,
    }
    return render(request, "console/team_member.html", context, status=400 if failed else 200)


def _remove_form(member: Membership, data: Any) -> RemoveForm:
    keys = people.keys_of(member, now=timezone.now())
    others = Membership.objects.filter(customer_id=member.customer_id).exclude(pk=member.pk).select_related("user")
    keepers = [one for one in others.order_by("id") if Right.OWN_KEYS in rights_of(one.role)]
    return RemoveForm(data, keys=keys, keepers=keepers)


def _member(customer: Customer, member_id: int) -> Membership:
    found = people.members(customer).filter(pk=member_id).first() if member_id < 2**63 else None
    if found is None:
        raise Http404
    return found


def _invitation(customer: Customer, invitation_id: int) -> Invitation:
    rows = Invitation.objects.filter(customer=customer)
    found = rows.filter(pk=invitation_id).first() if invitation_id < 2**63 else None
    if found is None:
        raise Http404
    return found


def _role_now(customer: Customer, user_id: int) -> str:
    return Membership.objects.filter(customer=customer, user_id=user_id).values_list("role", flat=True).first() or ""
