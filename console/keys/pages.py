"""Pages about oneself: the language, and the keys."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import get_supported_language_variant
from django.utils.translation import gettext as _
from django.views import i18n
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.keys import issuing
from accounts.limits.figures import figures_now
from accounts.models import ApiKey, Customer, SecurityEvent, User
from accounts.roles import Right, rights_of
from accounts.security import log
from console.access.membership import current_membership, current_user
from console.access.reauthentication import confirmed_lately
from console.forms.keys import KeyForm

MOST_SHOWN = 200


@require_POST
def set_language(request: HttpRequest) -> HttpResponseBase:
    """Django's own switch; a member's choice is kept for the mails too."""
    response = i18n.set_language(request)
    if isinstance(request.user, User):
        try:
            language = get_supported_language_variant(request.POST.get("language", ""))
        except LookupError:
            return response
        User.objects.filter(pk=request.user.pk).update(language=language)
    return response


@never_cache
@login_required
@confirmed_lately
@require_http_methods(["GET", "HEAD", "POST"])
def key_list(request: HttpRequest) -> HttpResponse:
    """A customer's keys, and the form for another one. A new key's text stands in the answer to the POST alone."""
    membership = current_membership(request)
    customer = membership.customer
    form = KeyForm(request.POST if request.method == "POST" else None, role=membership.role)
    issued = None
    if request.method == "POST" and form.is_valid():
        try:
            issued = _issue(request, customer, form)
        except issuing.TooManyKeys as error:
            form.add_error("name", str(error))
        else:
            form = KeyForm(role=membership.role)
            _tell(request, issued.key)
    now = timezone.now()
    found = ApiKey.objects.filter(customer=customer, deleted_at__isnull=True, child__isnull=True).order_by("-id")
    found = found.select_related("meter", "customer", "created_by", "known_to")
    context = {
        "nav": "keys",
        "form": form,
        "issued": issued,
        "keys": [(key, figures_now(key, now=now)) for key in found[:MOST_SHOWN]],
        "zone": customer.time_zone,
        "own": membership.user_id,
        "may_make": Right.OWN_KEYS in rights_of(membership.role),
        "may_change_all": Right.OTHERS_KEYS in rights_of(membership.role),
        "now": now,
    }
    return render(request, "console/keys.html", context, status=400 if form.errors else 200)


def _issue(request: HttpRequest, customer: Customer, form: KeyForm) -> issuing.IssuedKey:
    now, maker = timezone.now(), current_user(request)
    return issuing.issue(customer=customer, now=now, created_by=maker, **form.policy)


def _tell(request: HttpRequest, key: ApiKey) -> None:
    """Whose login it is hears of a new key: one that a stolen session makes outlives it."""
    log.note(SecurityEvent.Kind.KEY_MADE, request=request, user=request.user, key=key)
    get_adapter(request).send_notification_mail("account/email/key_made", request.user, {"key": key})


def own_key(request: HttpRequest, key_id: int) -> ApiKey:
    """A key that this member may change: one's own, or as an owner anybody's in the account."""
    membership = current_membership(request)
    whose = {"customer": membership.customer, "deleted_at__isnull": True, "child__isnull": True}
    key = get_object_or_404(ApiKey, pk=key_id, **whose)
    if Right.OTHERS_KEYS not in rights_of(membership.role) and key.created_by_id != membership.user_id:
        raise PermissionDenied(_("Only an owner may change keys that others made."))
    return key


@login_required
@require_POST
def key_switch(request: HttpRequest, key_id: int) -> HttpResponse:
    """Disable a key, or enable it again, from the next request on."""
    key = own_key(request, key_id)
    active = request.POST.get("active") == "1"
    issuing.switch(key=key, active=active)
    kind = SecurityEvent.Kind.KEY_ENABLED if active else SecurityEvent.Kind.KEY_DISABLED
    log.note(kind, request=request, user=request.user, key=key)
    text = _("%(name)s works again.") if active else _("%(name)s is disabled. It can be enabled again.")
    messages.success(request, text % {"name": key.name})
    return redirect("keys")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def key_delete(request: HttpRequest, key_id: int) -> HttpResponse:
    """Ask once, then delete a key for good."""
    key = own_key(request, key_id)
    if request.method != "POST":
        return render(request, "console/key_delete.html", {"nav": "keys", "key": key})
    issuing.delete(key=key, now=timezone.now())
    log.note(SecurityEvent.Kind.KEY_DELETED, request=request, user=request.user, key=key)
    messages.success(request, _("%(name)s is deleted. Requests with it are refused from now on.") % {"name": key.name})
    return redirect("keys")
