"""What accounts find by name for the staff's first page, and tell of a customer."""

from collections.abc import Iterable

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Customer, Invitation, Membership, StaffAction
from core import panels


def search(text: str) -> Iterable[panels.Found]:
    """A customer by a member's address, a key by its prefix."""
    if "@" in text:
        for customer in Customer.objects.filter(members__email=text.lower())[:10]:
            yield panels.Found(
                _("Customer"), customer.name, reverse("admin:accounts_customer_change", args=[customer.pk])
            )
    if text.startswith("ck-"):
        for key in ApiKey.objects.filter(prefix=text[:7]).select_related("customer")[:10]:
            name = f"{key.prefix}… {key.name} ({key.customer})"
            yield panels.Found(_("Key"), name, reverse("admin:accounts_apikey_change", args=[key.pk]))


def story(customer_id: int) -> Iterable[panels.Event]:
    """The opening of the account, its members, its keys."""
    customer = Customer.objects.get(pk=customer_id)
    yield panels.Event(customer.created_at, _("Account opened"), customer.name)
    if customer.suspended_at:
        yield panels.Event(customer.suspended_at, _("Suspended"), customer.suspended_reason)
    for membership in Membership.objects.filter(customer_id=customer_id).select_related("user"):
        yield panels.Event(membership.created_at, _("Member"), f"{membership.user.email}, {membership.role}")
    for invitation in Invitation.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        words = f"{invitation.email}, {invitation.role}"
        yield panels.Event(invitation.created_at, _("Invited"), words)
        if invitation.ended_at:
            yield panels.Event(invitation.ended_at, _("Invitation ended"), f"{words}: {invitation.state}")
    for key in ApiKey.objects.filter(customer_id=customer_id).order_by("-pk")[:50]:
        link = reverse("admin:accounts_apikey_change", args=[key.pk])
        yield panels.Event(key.created_at, _("Key made"), f"{key.prefix}… {key.name}", link=link)
        if key.deleted_at:
            yield panels.Event(key.deleted_at, _("Key deleted"), f"{key.prefix}… {key.name}", link=link)
    for done in StaffAction.objects.filter(customer_id=customer_id).select_related("user").order_by("-pk")[:50]:
        words = f"{done.user.email}: {done.action} {done.object_text}"
        link = reverse("admin:accounts_staffaction_change", args=[done.pk])
        yield panels.Event(done.at, _("Staff"), f"{words} ({done.why})" if done.why else words, link=link)
