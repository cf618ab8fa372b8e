from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from accounts.limits import CustomerCounter, KeyCounter, KeyPolicy
from proxy.deciding import Ask, Decision, WalletCounter, decide
from proxy.errors import Refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POLICY = KeyPolicy(
    key_id=1,
    customer_id=1,
    version=1,
    customer_version=1,
    expires_at=None,
    allowed_models=frozenset(),
    networks=(),
    rpm=0,
    customer_rpm=0,
    daily_limit=None,
    total_limit=None,
)
# 0.01 of input at most, 0.001 an output token: a bound of 1.01.
ASK = Ask(
    policy=POLICY,
    model_id=1,
    model="openai/m",
    model_rpm=0,
    price_id=1,
    protocol="openai",
    streamed=False,
    input_most=Decimal("0.01"),
    output_rate=Decimal("0.001"),
    output_limit=1000,
    may_shrink=False,
    estimate=Decimal("0.20"),
)


def key_counter() -> KeyCounter:
    return KeyCounter([1, 1, 1, True, 0, [0] * 13, NOW.date(), Decimal(0), Decimal(0)])


def customer_counter(*, suspended: bool = False) -> CustomerCounter:
    return CustomerCounter([1, 1, suspended, 0, [0] * 13, {}])


def wallet(available: str, *, topped_up: bool = False, exposure: str = "0", reserved: str = "0") -> WalletCounter:
    return WalletCounter(Decimal(available), Decimal(reserved), Decimal(exposure), topped_up)


def decided(ask: Ask, wallet: WalletCounter, *, overrun: str = "1.00", key: KeyCounter | None = None):
    return decide(
        ask, wallet=wallet, key=key or key_counter(), customer=customer_counter(), overrun=Decimal(overrun), now=NOW
    )


def test_the_hold_is_the_bound_for_a_customer_who_never_paid():
    assert decided(ASK, wallet("1.01")) == Decision(Decimal("1.01"), Decimal("1.01"), 1000)


def test_a_customer_who_paid_is_held_at_the_estimate():
    assert decided(ASK, wallet("5", topped_up=True)) == Decision(Decimal("0.20"), Decimal("1.01"), 1000)


def test_the_hold_is_not_skipped_for_rich_wallets():
    assert decided(ASK, wallet("1000000", topped_up=True)).hold == Decimal("0.20")


def test_beyond_the_overrun_limit_the_hold_is_the_bound():
    assert decided(ASK, wallet("5", topped_up=True, exposure="0.20")).hold == Decimal("1.01")
    assert decided(ASK, wallet("5", topped_up=True, exposure="0.19")).hold == Decimal("0.20")


def test_an_overrun_limit_of_zero_means_always_the_bound():
    assert decided(ASK, wallet("5", topped_up=True), overrun="0").hold == Decimal("1.01")


def test_too_little_names_available_needed_and_the_limit_that_would_fit():
    refusal = decided(ASK, wallet("0.5"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (402, "insufficient_balance")
    for number in ("$0.5 ", "$1.01000000", "max_tokens of 490 "):
        assert number in refusal.message


def test_without_a_limit_of_the_callers_the_wallet_sets_one():
    ask = replace(ASK, may_shrink=True)
    assert decided(ask, wallet("0.5")) == Decision(Decimal("0.50"), Decimal("0.50"), 490)


def test_the_wallet_sets_no_limit_too_small_to_be_of_use():
    ask = replace(ASK, may_shrink=True)
    assert decided(ask, wallet("0.265")).code == "insufficient_balance"
    assert decided(ask, wallet("0.266")).output_limit == 256


def test_a_free_model_needs_no_balance():
    free = replace(ASK, input_most=Decimal(0), output_rate=Decimal(0), estimate=Decimal(0))
    assert decided(free, wallet("0")) == Decision(Decimal("0E-8"), Decimal("0E-8"), 1000)


def test_an_inactive_key_and_a_suspended_customer_are_refused_by_the_locked_rows():
    key = key_counter()
    key.active = False
    assert decided(ASK, wallet("5"), key=key).code == "invalid_api_key"
    refusal = decide(
        ASK,
        wallet=wallet("5"),
        key=key_counter(),
        customer=customer_counter(suspended=True),
        overrun=Decimal(1),
        now=NOW,
    )
    assert refusal.code == "account_suspended"


def test_caps_count_what_is_held():
    capped = replace(ASK, policy=replace(POLICY, daily_limit=Decimal("2.00")))
    key = key_counter()
    key.count(slot=1, day=NOW.date(), held=Decimal("0.99"))
    assert isinstance(decided(capped, wallet("50"), key=key), Decision)
    key.count(slot=1, day=NOW.date(), held=Decimal("0.01"))
    assert decided(capped, wallet("50"), key=key).code == "daily_limit_exceeded"
    total = replace(ASK, policy=replace(POLICY, total_limit=Decimal("1.50")))
    assert decided(total, wallet("50"), key=key).code == "key_limit_exceeded"


def test_yesterdays_spend_does_not_count_today():
    capped = replace(ASK, policy=replace(POLICY, daily_limit=Decimal("1.50")))
    key = KeyCounter([1, 1, 1, True, 0, [0] * 13, date(2026, 11, 22), Decimal("1.40"), Decimal("1.40")])
    assert isinstance(decided(capped, wallet("50"), key=key), Decision)
