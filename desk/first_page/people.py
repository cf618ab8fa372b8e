"""What accounts find by name for the staff's first page, and tell of a customer."""

from collections.abc import Iterable

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Customer, Invitation, Membership, StaffAction
from core import panels
from core.amounts import written
from desk.customers.naming import customers_like
from desk.first_page.typed import MOST_FOUND, read


def search(text: str) -> Iterable[panels.Found]:
    """A customer by its number (`#12`), its name, or a member's address, name or domain; a key by its first letters."""
    typed = read(text)
    found = Customer.objects.filter(pk__in=customers_like(typed)).select_related("wallet").order_by("-pk")
    for customer in found.prefetch_related("members")[:MOST_FOUND]:
        yield panels.Found(
            _("Customer"),
            ", ".join((f"#{customer.pk}", *(member.email for member in customer.members.all()[:2]))),
            reverse("admin:accounts_customer_change", args=[customer.pk]),
            customer=customer.name,
            amount=written(customer.wallet.available, places=2),
            state=_("suspended") if customer.is_suspended else _("active"),
            at=customer.created_at,
        )
    if typed.joined.startswith("ck-"):
        for key in ApiKey.objects.filter(prefix=typed.joined[:7]).select_related("customer")[:MOST_FOUND]:
            yield panels.Found(
                _("Key"),
                f"{key.prefix}… {key.name}",
                reverse("admin:accounts_apikey_change", args=[key.pk]),
                customer=key.customer.name,
                state=_("deleted") if key.deleted_at else _("active") if key.is_active else _("switched off"),
                at=key.created_at,
            )


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
