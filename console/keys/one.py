"""The page of one key: what it spent, what it may do, and a new text for it."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.keys import issuing
from accounts.keys.known import does_more, outlives
from accounts.keys.rotating import NotRotated, rotate
from accounts.limits.figures import figures_now
from accounts.models import ApiKey, Membership, SecurityEvent
from accounts.roles import Right, rights_of
from accounts.security import log
from console.access.membership import current_membership
from console.access.reauthentication import confirmed_lately
from console.forms.keys import EditKeyForm, RotateForm
from console.keys.pages import own_key


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_show(request: HttpRequest, key_id: int) -> HttpResponse:
    """What a key spent and may do; POST changes that, from the next request on."""
    membership = current_membership(request)
    if request.method != "POST":
        return _page(request, _any_key(membership, key_id), membership)
    key = own_key(request, key_id)
    form = EditKeyForm(request.POST, key=key, role=membership.role)
    if form.is_valid() and "expires_at" in form.changes and outlives(key, form.changes["expires_at"]):
        form.add_error("expires_on", _("Somebody who left knows this key: rotate it first."))
    if form.is_valid() and does_more(key, form.changes.get("scopes", ())):
        form.add_error("scopes", _("Somebody who left knows this key: rotate it first."))
    if not form.is_valid():
        return _page(request, _any_key(membership, key_id), membership, form=form)
    if form.changes:
        issuing.change(key=key, changes=form.changes)
        log.note(SecurityEvent.Kind.KEY_CHANGED, request=request, user=request.user, key=key)
    messages.success(request, _("Saved. It counts from the next request on."))
    return redirect("key", key.pk)


@never_cache
@login_required
@confirmed_lately
@require_POST
def key_rotate(request: HttpRequest, key_id: int) -> HttpResponse:
    """Give a key a new text, which stands in the answer to this alone; the old one may work on for a while."""
    key, membership = own_key(request, key_id), current_membership(request)
    form = RotateForm(request.POST)
    if not form.is_valid():
        return _page(request, key, membership, rotation=form)
    try:
        rotated = rotate(key=key, overlap=form.cleaned_data["overlap"], prefix=form.cleaned_data["seen"])
    except NotRotated as error:
        messages.error(request, str(error))
        return redirect("key", key.pk)
    log.note(SecurityEvent.Kind.KEY_ROTATED, request=request, user=request.user, key=rotated.key)
    get_adapter(request).send_notification_mail("account/email/key_rotated", request.user, {"key": rotated.key})
    return _page(request, _any_key(membership, key_id), membership, issued=rotated)


def _any_key(membership: Membership, key_id: int) -> ApiKey:
    keys = ApiKey.objects.select_related("meter", "customer", "created_by", "known_to")
    whose = {"customer": membership.customer, "deleted_at__isnull": True, "child__isnull": True}
    return get_object_or_404(keys, pk=key_id, **whose)


def _page(
    request: HttpRequest,
    key: ApiKey,
    membership: Membership,
    *,
    form: EditKeyForm | None = None,
    rotation: RotateForm | None = None,
    issued: issuing.IssuedKey | None = None,
) -> HttpResponse:
    now = timezone.now()
    may_change = Right.OTHERS_KEYS in rights_of(membership.role) or (
        Right.OWN_KEYS in rights_of(membership.role) and key.created_by_id == membership.user_id
    )
    context: dict[str, Any] = {
        "nav": "keys",
        "key": key,
        "issued": issued,
        "own": membership.user_id,
        "now": now,
        "figures": figures_now(key, now=now),
        "zone": key.customer.time_zone,
        "former": key.former_texts.filter(works_until__gt=Now()).order_by("works_until"),
        "may_change": may_change,
        "form": form or EditKeyForm(key=key, role=membership.role),
        "rotation": rotation or RotateForm(initial={"seen": key.prefix}),
    }
    is_wrong = bool(form and form.errors) or bool(rotation and rotation.errors)
    return render(request, "console/key.html", context, status=400 if is_wrong else 200)
