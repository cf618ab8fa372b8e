"""What every topic of a history stands on: who and what there is, what is drawn, and what may be refused."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from accounts.models import ApiKey, Customer, User
from billing.invoices import InvoiceError
from billing.models import LedgerAccount
from billing.refunds import RefundError
from billing.requests.proposals import ProposalError
from payments import refunds
from payments.automatic.terms import AutoTopUpError
from payments.disputes import write_offs
from payments.topups.orders import TopUpError
from proxy.models import Model
from tests.histories.world import Clock, Providers
from tests.sandbox_server import ControlError

METHODS = ("stripe", "alipay", "wechat")
CURRENCY = {"stripe": "USD", "alipay": "CNY", "wechat": "CNY"}
WHO = st.integers(0, 1)
AMOUNTS = st.sampled_from(("1.00", "5.00", "7.77", "20.00"))
SHARES = st.sampled_from((Decimal("0.01"), Decimal("0.3"), Decimal("0.5"), Decimal(1)))
DYING = st.one_of(st.none(), st.none(), st.integers(0, 9))
APART = st.sampled_from((0, 0, -60, 60))
PICK = st.integers(0, 20)
CENT, MICRO = Decimal("0.01"), Decimal("0.00000001")
REFUSED = (
    TopUpError,
    AutoTopUpError,
    RefundError,
    InvoiceError,
    ProposalError,
    write_offs.WriteOffError,
    refunds.PartError,
    ControlError,
)
"""What the parts may answer to somebody who asks for what is not possible now."""


class Steps(RuleBasedStateMachine):
    """Who takes part: two customers with a key each, two people at the desk, the providers, and the time it is."""

    providers: Providers
    seen: set[str]
    """Kinds of transfers, and states, that some history came to."""
    clock: Clock
    number: int
    model: Model
    staff: list[User]
    customers: list[Customer]
    keys: list[ApiKey]


def pick(found: Any, index: int, *, is_query: bool = True) -> Any:
    """One of what there is; None where there is nothing."""
    listed = list(found.order_by("pk") if is_query else found)
    return listed[index % len(listed)] if listed else None


def cents(amount: Decimal) -> Decimal:
    """Down to the cent or fen, one at least."""
    return max(amount.quantize(CENT, rounding="ROUND_DOWN"), CENT)


@contextmanager
def refused() -> Iterator[None]:
    """What is asked may be refused, with words."""
    with suppress(*REFUSED):
        yield


def balance(name: str) -> Decimal:
    """A house account's credits less its debits."""
    account = LedgerAccount.objects.filter(name=name).first()
    if account is None:
        return Decimal(0)
    return sum((t.amount for t in account.credits.all()), Decimal(0)) - sum(
        (t.amount for t in account.debits.all()), Decimal(0)
    )
