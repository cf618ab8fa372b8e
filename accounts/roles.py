"""Who may do what: members by role, keys by scope, staff by group. Nothing else decides a right.

A page and an operation of the account API stand here by the name of their URL; what does not stand here is refused.
A key may do what its scopes name and what its maker's role allows now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """What a member may do with the account."""

    LOOK = "look"  # balance, usage, transactions, receipts, statements, documents
    CALL = "call"  # models, with a key
    OWN_KEYS = "own_keys"  # make, edit and end one's own keys
    TOP_UP = "top_up"
    OTHERS_KEYS = "others_keys"
    REFUNDS = "refunds"
    AUTO_TOPUP = "auto_topup"
    ALERTS = "alerts"  # what the account's owners are warned of
    INVOICES = "invoices"
    WEBHOOKS = "webhooks"
    MEMBERS = "members"  # who belongs to the account, as what, and whom to invite
    ACCOUNT = "account"  # its name, its time zone


class Role(StrEnum):
    """A member's part in an account; the names under which `accounts_membership.role` keeps them."""

    OWNER = "owner"
    DEVELOPER = "developer"
    VIEWER = "viewer"


MEMBERS: Mapping[str, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.DEVELOPER: frozenset({Right.LOOK, Right.CALL, Right.OWN_KEYS, Right.TOP_UP}),
    Role.VIEWER: frozenset({Right.LOOK}),
}


class Scope(StrEnum):
    """What a key may be used for."""

    INFERENCE = "inference"
    READ = "read"
    KEYS = "keys"
    BILLING = "billing"


DEFAULT_SCOPES = (Scope.INFERENCE, Scope.READ)
ALL_SCOPES = tuple(Scope)


def grantable(role: str) -> tuple[Scope, ...]:
    """The scopes that a member of this role may give to a key; owners alone grant `billing`."""
    if Right.OWN_KEYS not in rights_of(role):
        return ()
    return ALL_SCOPES if role == Role.OWNER else tuple(scope for scope in Scope if scope != Scope.BILLING)


@dataclass(frozen=True, slots=True)
class Need:
    """What an operation of the account API asks for: one of these scopes, and the right of the key's maker."""

    scopes: frozenset[Scope]
    right: Right


def _need(right: Right, *scopes: Scope) -> Need:
    return Need(frozenset(scopes), right)


_READ = _need(Right.LOOK, Scope.READ)
_CALLER = _need(Right.LOOK, Scope.READ, Scope.INFERENCE)
"""What a program that calls models asks about itself."""
_KEYS = _need(Right.OWN_KEYS, Scope.KEYS)
_REFUNDS = _need(Right.REFUNDS, Scope.BILLING)
_INVOICES = _need(Right.INVOICES, Scope.BILLING)
_WEBHOOKS = _need(Right.WEBHOOKS, Scope.BILLING)
_MEMBERS = _need(Right.MEMBERS, Scope.BILLING)
"""To look, too: what `read` allows says nothing of people."""
_AUTO_TOPUP = _need(Right.AUTO_TOPUP, Scope.BILLING)

API: Mapping[str, Mapping[str, Need]] = {
    "api-models": {"GET": _CALLER},
    "api-model": {"GET": _CALLER},
    "api-generation": {"GET": _CALLER},
    "api-key-info": {"GET": _CALLER},
    "api-credits": {"GET": _READ},
    "api-transactions": {"GET": _READ},
    "api-usage": {"GET": _READ},
    "api-usage-csv": {"GET": _READ},
    "api-keys": {"GET": _READ, "POST": _KEYS},
    "api-key": {"GET": _READ, "PATCH": _KEYS, "DELETE": _KEYS},
    "api-key-rotate": {"POST": _KEYS},
    "api-account": {"GET": _READ, "PATCH": _need(Right.ACCOUNT, Scope.BILLING)},
    "api-budgets": {"GET": _READ, "POST": _KEYS},
    "api-budget": {"GET": _CALLER, "DELETE": _KEYS},
    "api-topups": {"GET": _READ, "POST": _need(Right.TOP_UP, Scope.BILLING)},
    "api-topup-quote": {"GET": _READ},
    "api-topup": {"GET": _READ},
    "api-topup-cancel": {"POST": _need(Right.TOP_UP, Scope.BILLING)},
    "api-topup-receipt": {"GET": _READ},
    "api-statements": {"GET": _READ},
    "api-statement": {"GET": _READ},
    "api-statement-csv": {"GET": _READ},
    "api-statement-pdf": {"GET": _READ},
    "api-auto-topup": {"GET": _AUTO_TOPUP, "PUT": _AUTO_TOPUP, "DELETE": _AUTO_TOPUP},
    "api-alerts": {"GET": _need(Right.ALERTS, Scope.READ), "PUT": _need(Right.ALERTS, Scope.BILLING)},
    "api-refunds": {"GET": _READ, "POST": _REFUNDS},
    "api-refund": {"GET": _READ},
    "api-refund-cancel": {"POST": _REFUNDS},
    "api-invoices": {"GET": _READ, "POST": _INVOICES},
    "api-invoice": {"GET": _READ},
    "api-invoice-cancel": {"POST": _INVOICES},
    "api-webhooks": {"GET": _WEBHOOKS, "POST": _WEBHOOKS},
    "api-webhook": {"GET": _WEBHOOKS, "PATCH": _WEBHOOKS, "DELETE": _WEBHOOKS},
    "api-webhook-rotate": {"POST": _WEBHOOKS},
    "api-webhook-test": {"POST": _WEBHOOKS},
    "api-webhook-deliveries": {"GET": _WEBHOOKS},
    "api-webhook-replay": {"POST": _WEBHOOKS},
    "api-members": {"GET": _MEMBERS},
    "api-member": {"GET": _MEMBERS, "PATCH": _MEMBERS, "DELETE": _MEMBERS},
    "api-invitations": {"GET": _MEMBERS, "POST": _MEMBERS},
    "api-invitation": {"GET": _MEMBERS, "DELETE": _MEMBERS},
}
"""Operations by URL name and method. GET stands for HEAD too; OPTIONS says nothing of an account."""
MODEL_PATHS = _need(Right.CALL, Scope.INFERENCE)
"""The paths that the gateway serves."""

PAGES: Mapping[str, Mapping[str, Right]] = {
    "console": {"GET": Right.LOOK},
    "start": {"GET": Right.LOOK},
    "usage": {"GET": Right.LOOK},
    "usage-csv": {"GET": Right.LOOK},
    "receipt": {"GET": Right.LOOK},
    "transactions": {"GET": Right.LOOK},
    "statements": {"GET": Right.LOOK},
    "statement": {"GET": Right.LOOK},
    "statement-csv": {"GET": Right.LOOK},
    "statement-pdf": {"GET": Right.LOOK},
    "keys": {"GET": Right.LOOK, "POST": Right.OWN_KEYS},
    "key": {"GET": Right.LOOK, "POST": Right.OWN_KEYS},
    "key-rotate": {"POST": Right.OWN_KEYS},
    "key-switch": {"POST": Right.OWN_KEYS},
    "key-delete": {"GET": Right.OWN_KEYS, "POST": Right.OWN_KEYS},
    "webhooks": {"GET": Right.WEBHOOKS, "POST": Right.WEBHOOKS},
    "webhook-show": {"GET": Right.WEBHOOKS, "POST": Right.WEBHOOKS},
    "webhook-rotate": {"POST": Right.WEBHOOKS},
    "webhook-switch": {"POST": Right.WEBHOOKS},
    "webhook-test": {"POST": Right.WEBHOOKS},
    "webhook-delete": {"GET": Right.WEBHOOKS, "POST": Right.WEBHOOKS},
    "webhook-replay": {"POST": Right.WEBHOOKS},
    "budgets": {"GET": Right.LOOK, "POST": Right.OWN_KEYS},
    "budget-end": {"GET": Right.OWN_KEYS, "POST": Right.OWN_KEYS},
    "code": {"GET": Right.TOP_UP, "POST": Right.TOP_UP},
    "topup": {"GET": Right.TOP_UP, "POST": Right.TOP_UP},
    "topup-show": {"GET": Right.LOOK},
    "topup-state": {"GET": Right.LOOK},
    "topup-cancel": {"POST": Right.TOP_UP},
    "topup-receipt": {"GET": Right.LOOK},
    "auto-topup": {"GET": Right.AUTO_TOPUP, "POST": Right.AUTO_TOPUP},
    "refunds": {"GET": Right.LOOK, "POST": Right.REFUNDS},
    "refund-show": {"GET": Right.LOOK, "POST": Right.REFUNDS},
    "refund-cancel": {"POST": Right.REFUNDS},
    "invoices": {"GET": Right.LOOK, "POST": Right.INVOICES},
    "invoice-buyer": {"GET": Right.INVOICES, "POST": Right.INVOICES},
    "invoice-show": {"GET": Right.LOOK},
    "invoice-cancel": {"POST": Right.INVOICES},
    "invoice-document": {"GET": Right.LOOK},
    "team": {"GET": Right.MEMBERS, "POST": Right.MEMBERS},
    "team-invitation": {"POST": Right.MEMBERS},
    "team-member": {"GET": Right.MEMBERS, "POST": Right.MEMBERS},
    "team-caps": {"POST": Right.MEMBERS},
    "team-remove": {"POST": Right.MEMBERS},
    "leave": {"GET": Right.LOOK, "POST": Right.LOOK},
    "settings": {"GET": Right.LOOK, "POST": Right.ACCOUNT},
    "settings-zone": {"POST": Right.ACCOUNT},
    "settings-alerts": {"POST": Right.ALERTS},
    "notice-dismiss": {"POST": Right.ALERTS},
}
"""Pages of the console by URL name and method."""


def rights_of(role: str) -> frozenset[Right]:
    """What a member of this role may do; nothing for a role that there is not."""
    return MEMBERS.get(role, frozenset())


def roles_with(right: Right) -> list[str]:
    """The roles that have this right."""
    return sorted(str(role) for role, rights in MEMBERS.items() if right in rights)


def missing(need: Need, *, scopes: Iterable[str], role: str) -> str:
    """What keeps a key of these scopes, made by a member of this role, from an operation; "" where nothing does."""
    if not need.scopes & set(scopes):
        return f"the scope {' or '.join(sorted(need.scopes))}"
    if need.right not in rights_of(role):
        return "a right that its maker's role does not have" if role else "a maker who is a member of the account"
    return ""


# --- Staff --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StaffRole:
    """A group of staff: the apps whose rows it may look at, and its rights as `app.model.codename`."""

    sees: tuple[str, ...]
    rights: tuple[str, ...]


_BOOKS = ("accounts", "billing", "payments", "proxy", "webhooks")
_SUPPORT = (
    "accounts.customer.change_customer",
    "accounts.apikey.change_apikey",
    "billing.adjustmentproposal.handle_refunds",
    "billing.adjustmentproposal.handle_invoices",
    "billing.mail.handle_mail",
    "payments.dispute.change_dispute",
)
STAFF: Mapping[str, StaffRole] = {
    "support": StaffRole(_BOOKS, _SUPPORT),
    "finance": StaffRole(
        _BOOKS,
        (
            *_SUPPORT,
            "billing.adjustmentproposal.approve_large_refunds",
            "billing.adjustmentproposal.post_adjustments",
            "billing.journalentry.post_entries",
            "billing.monthlock.lock_months",
            "billing.invoiceseries.add_invoiceseries",
            "billing.invoiceseries.change_invoiceseries",
            "payments.exchangerate.set_rates",
            "payments.discrepancy.handle_discrepancies",
            "payments.notification.replay_notifications",
            "proxy.generation.handle_quarantined",
            "proxy.marginday.see_margin",
            "proxy.price.set_prices",
            "proxy.upstreambill.add_bills",
            "proxy.rerate.rerate_requests",
        ),
    ),
    "operator": StaffRole(("proxy",), ("proxy.marginday.see_margin", "proxy.upstream.manage_upstreams")),
}
"""Given to the groups once each; what an operator takes from a group afterwards is not given back."""
