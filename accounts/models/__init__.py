"""Who uses Chuizi, what they may spend, and what is kept of it."""

from accounts.groups import CustomerGroup
from accounts.models.keys import ApiKey, default_scopes
from accounts.models.meters import ApiRate, CustomerMeter, KeyMeter
from accounts.models.once import IdempotentAnswer, WelcomedAddress
from accounts.models.people import Customer, Membership, User, UserManager
from accounts.models.staff import GivenRight, StaffAction
from accounts.security.events import SecurityEvent

__all__ = [
    "ApiKey",
    "ApiRate",
    "Customer",
    "CustomerGroup",
    "CustomerMeter",
    "GivenRight",
    "IdempotentAnswer",
    "KeyMeter",
    "Membership",
    "SecurityEvent",
    "StaffAction",
    "User",
    "UserManager",
    "WelcomedAddress",
    "default_scopes",
]
