"""The house's accounts: their names are made here alone. `ledger.md` says what each is.

`provider` is whose account it is that the money is on, `currency` what the account is in.
"""

CLEARING, BANK, FX = "clearing:", "bank:", "fx:"
FEES, TOPUP_FEES = "expense:fees:", "revenue:topup_fees:"
UPSTREAM_EXPENSE, UPSTREAM_PAYABLE = "expense:upstream:", "payable:upstream:"
OTHERS, RESERVE = "others:", "reserve:"
RESULT, RESULT_FX, RESULT_OTHER = "result:", "result:fx:", "result:other:"
IN_A_CURRENCY = (UPSTREAM_EXPENSE, UPSTREAM_PAYABLE, CLEARING, FX, BANK, FEES, TOPUP_FEES, OTHERS, RESERVE, RESULT)
"""House accounts whose names end with their currency; the rest are in USD unless a currency ends their name."""
BY_HAND_IN_EACH_CURRENCY = (BANK, FEES, FX, RESULT_FX, RESULT_OTHER)
"""Accounts that a journal entry may be the first to use, in each currency that the books know."""

USAGE, BONUS_USED = "revenue:usage", "revenue:bonus"
BONUS_GIVEN, BAD_DEBT, ADJUSTMENTS = "expense:bonus", "expense:bad_debt", "adjustments"
IN_TRANSIT, RECEIVABLE = "refunds:in_transit", "receivable:refunds"


def clearing(provider: str, currency: str) -> str:
    """Our account at a provider."""
    return f"{CLEARING}{provider}:{currency}"


def upstream_expense(upstream: str, currency: str) -> str:
    """What an upstream takes for requests."""
    return f"{UPSTREAM_EXPENSE}{upstream}:{currency}"


def upstream_payable(upstream: str, currency: str) -> str:
    """What an upstream is owed; what was paid beforehand stands against it."""
    return f"{UPSTREAM_PAYABLE}{upstream}:{currency}"


def is_fine(name: str) -> bool:
    """Whether an account's amounts have 8 places in any currency: a request's purchase is less than a cent."""
    return name.startswith((UPSTREAM_EXPENSE, UPSTREAM_PAYABLE))


def others(provider: str, currency: str) -> str:
    """What another shop's payments moved on our account at a provider."""
    return f"{OTHERS}{provider}:{currency}"


def reserve(provider: str, currency: str) -> str:
    """What a provider holds back."""
    return f"{RESERVE}{provider}:{currency}"


def bank(currency: str) -> str:
    """Our account at a bank."""
    return f"{BANK}{currency}"


def fx(currency: str) -> str:
    """One side of an exchange."""
    return f"{FX}{currency}"


def fees(currency: str) -> str:
    """What providers take for themselves."""
    return f"{FEES}{currency}"


def topup_fees(currency: str) -> str:
    """What customers pay on top of a credit."""
    return f"{TOPUP_FEES}{currency}"


def of_providers(name: str) -> tuple[str, str] | None:
    """Provider and currency of a clearing account's name; None for another account's."""
    if not name.startswith(CLEARING):
        return None
    provider, _colon, currency = name.removeprefix(CLEARING).rpartition(":")
    return provider, currency
