"""Who uses Chuizi, what they may spend, and what is kept of it."""

from accounts.groups import CustomerGroup
from accounts.models.children import ChildKey
from accounts.models.invitations import Invitation
from accounts.models.keys import ApiKey, FormerText, default_scopes
from accounts.models.meters import AccountMeter, ApiRate, CustomerMeter, KeyMeter, MemberMeter
from accounts.models.once import IdempotentAnswer, WelcomedAddress
from accounts.models.people import Customer, Membership, User, UserManager
from accounts.models.staff import GivenRight, StaffAction
from accounts.security.events import SecurityEvent

__all__ = [
    "AccountMeter",
    "ApiKey",
    "ApiRate",
    "ChildKey",
    "Customer",
    "CustomerGroup",
    "CustomerMeter",
    "FormerText",
    "GivenRight",
    "IdempotentAnswer",
    "Invitation",
    "KeyMeter",
    "MemberMeter",
    "Membership",
    "SecurityEvent",
    "StaffAction",
    "User",
    "UserManager",
    "WelcomedAddress",
    "default_scopes",
]
