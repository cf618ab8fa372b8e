"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Membership, User
from accounts.people.inviting import waiting_for
from accounts.roles import Right, rights_of
from billing.models import Notice
from billing.outbox.kinds import Fact
from billing.warnings.letters import sentence
from console.access.membership import all_memberships, shown_membership
from payments.models import TopUp

MOST_NOTICES = 5
MOST_UNPAID = 3


class Account:
    """Whose account a page is about, looked up where a page shows it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def here(self) -> Membership | None:
        return shown_membership(self._request)

    @property
    def all(self) -> list[Membership]:
        return all_memberships(self._request)

    @property
    def manages(self) -> bool:
        """Whether the reader may manage the account's people."""
        here = self.here
        return here is not None and Right.MEMBERS in rights_of(here.role)

    @property
    def invoices(self) -> bool:
        """Whether the reader may ask for invoices, and see whom they are for."""
        here = self.here
        return here is not None and Right.INVOICES in rights_of(here.role)

    @property
    def pays_in(self) -> bool:
        """Whether the reader may top up."""
        here = self.here
        return here is not None and Right.TOP_UP in rights_of(here.role)

    @property
    def unpaid(self) -> list[TopUp]:
        """Open top-ups that the reader may go on with or cancel, the newest first."""
        here = self.here
        if here is None or not self.pays_in:
            return []
        unpaid = TopUp.objects.unpaid(now=timezone.now()).filter(customer=here.customer_id, problem="")
        return list(unpaid.order_by("-id")[:MOST_UNPAID])

    @property
    def notices(self) -> list[dict[str, Any]]:
        """Warnings that its owners have not put away, on their pages."""
        here = self.here
        if here is None or Right.ALERTS not in rights_of(here.role):
            return []
        standing = Notice.objects.standing(customer_id=here.customer_id, now=timezone.now())[:MOST_NOTICES]
        return [
            {"id": row.pk, "sentence": sentence(row.kind, row.data), "is_low": row.kind == Fact.BALANCE_LOW}
            for row in standing
        ]

    @property
    def invited(self) -> bool:
        user = self._request.user
        return isinstance(user, User) and waiting_for(user, now=timezone.now()).exists()


def site(request: HttpRequest) -> dict[str, Any]:
    return {
        "SUPPORT_EMAIL": settings.SUPPORT_EMAIL,
        "SITE_URL": settings.SITE_URL,
        "DEBUG": settings.DEBUG,
        "signup_credit": settings.SIGNUP_CREDIT,
        "account": Account(request),
    }
