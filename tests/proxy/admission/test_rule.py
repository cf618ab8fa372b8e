import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.limits import meters
from accounts.limits.meters import CapReached, CustomerCounter, KeyCounter, MemberCounter
from accounts.limits.periods import Period
from accounts.limits.policy import KeyPolicy
from proxy.admission.rule import Ask, Decision, Extension, TooLittle, WalletCounter, decide, extend
from proxy.errors import Refusal

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POLICY = KeyPolicy(
    key_id=1,
    customer_id=1,
    version=1,
    customer_version=1,
    ends=math.inf,
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


TODAY, NOTHING = NOW.date(), [Decimal(0)] * 8


def key_counter(day: date = TODAY, spent: str = "0") -> KeyCounter:
    """A key whose maker has a meter too; both have `spent` on that day."""
    member = MemberCounter([7, day, *NOTHING])
    key = KeyCounter([1, 1, 1, True, 0, [0] * 13, day, *NOTHING], member)
    key.count(day, Decimal(spent))
    member.count(day, Decimal(spent))
    return key


def customer_counter(*, suspended: bool = False) -> CustomerCounter:
    return CustomerCounter([1, 1, suspended, 0, [0] * 13, {}])


def wallet(available: str, *, allowance: str = "0", exposure: str = "0", bonus: str = "0") -> WalletCounter:
    return WalletCounter(Decimal(available), Decimal(0), Decimal(exposure), Decimal(bonus), Decimal(allowance))


def decided(ask: Ask, wallet: WalletCounter, *, key: KeyCounter | None = None):
    return decide(ask, wallet=wallet, key=key or key_counter(), customer=customer_counter(), now=NOW)


def test_the_hold_is_the_bound_for_a_customer_who_never_paid():
    assert decided(ASK, wallet("1.01")) == Decision(Decimal("1.01"), Decimal("1.01"), 1000, 1000)


def test_a_customer_with_an_allowance_is_held_at_the_estimate():
    assert decided(ASK, wallet("5", allowance="1")) == Decision(Decimal("0.20"), Decimal("1.01"), 1000, 1000)


def test_the_hold_is_not_skipped_for_rich_wallets():
    assert decided(ASK, wallet("1000000", allowance="1")).hold == Decimal("0.20")


def test_beyond_the_allowance_the_hold_is_the_bound():
    assert decided(ASK, wallet("5", allowance="1", exposure="1")).hold == Decimal("1.01")
    assert decided(ASK, wallet("5", allowance="1", exposure="0.19")).hold == Decimal("0.20")


def test_what_is_left_of_the_allowance_lets_the_hold_be_less_by_so_much():
    assert decided(ASK, wallet("5", allowance="1", exposure="0.20")).hold == Decimal("0.21")
    assert decided(ASK, wallet("0.75", allowance="0.30")).hold == Decimal("0.71")
    refusal = decided(ASK, wallet("0.70", allowance="0.30"))
    assert (refusal.code, refusal.needed) == ("insufficient_balance", Decimal("0.71"))
    refusal = decided(ASK, wallet("0.75", allowance="0.30", exposure="0.10"))
    assert (refusal.code, refusal.needed) == ("insufficient_balance", Decimal("0.71")), "once that is open no more"


def test_a_stream_whose_input_is_told_first_is_held_whole_where_there_is_enough():
    """What is too much comes back in a moment, and others are to have the allowance meanwhile."""
    ask = replace(ASK, tells_input=True)
    assert decided(ask, wallet("5", allowance="1")).hold == Decimal("1.01")
    assert decided(ask, wallet("1", allowance="1")).hold == Decimal("0.20")


def test_an_allowance_that_fell_below_what_is_open_holds_new_requests_at_the_bound():
    assert decided(ASK, wallet("5", allowance="0.05", exposure="0.90")).hold == Decimal("1.01")


def test_bonus_is_held_at_the_bound_whatever_was_paid_in():
    """Of 1.20 there are 1.10 bonus: 0.10 of the customer's own do not cover the estimate."""
    assert decided(ASK, wallet("1.20", allowance="1", bonus="1.10")).hold == Decimal("1.01")
    assert decided(ASK, wallet("1.30", allowance="1", bonus="1.10")).hold == Decimal("0.20")
    refusal = decided(ASK, wallet("0.70", allowance="1", bonus="0.60"))
    assert (refusal.code, refusal.needed) == ("insufficient_balance", Decimal("0.80"))


def test_too_little_names_available_needed_and_the_limit_that_would_fit():
    refusal = decided(ASK, wallet("0.5"))
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (402, "insufficient_balance")
    for number in ("$0.5 ", "$1.01000000", "max_tokens of 490 "):
        assert number in refusal.message


def test_too_little_tells_of_what_is_held_too():
    """Who sees less than the pages show learns why."""
    holding = wallet("0.5")
    assert "held" not in decided(ASK, holding).message
    holding.reserved = Decimal("0.30")
    assert "$0.30 is held besides" in decided(ASK, holding).message


def test_without_a_limit_of_the_callers_the_wallet_sets_one():
    ask = replace(ASK, may_shrink=True)
    assert decided(ask, wallet("0.5")) == Decision(Decimal("0.50"), Decimal("0.50"), 490, 490)


def test_the_wallet_sets_no_limit_too_small_to_be_of_use():
    ask = replace(ASK, may_shrink=True)
    assert decided(ask, wallet("0.265")).code == "insufficient_balance"
    assert decided(ask, wallet("0.266")).output_limit == 256


def test_a_free_model_needs_no_balance():
    free = replace(ASK, input_most=Decimal(0), output_rate=Decimal(0), estimate=Decimal(0))
    assert decided(free, wallet("0")) == Decision(Decimal("0E-8"), Decimal("0E-8"), 1000, 1000)


def test_an_inactive_key_and_a_suspended_customer_are_refused_by_the_locked_rows():
    key = key_counter()
    key.active = False
    assert decided(ASK, wallet("5"), key=key).code == "invalid_api_key"
    refusal = decide(
        ASK,
        wallet=wallet("5"),
        key=key_counter(),
        customer=customer_counter(suspended=True),
        now=NOW,
    )
    assert refusal.code == "account_suspended"


KEYS, MEMBERS = "caps", "member_caps"
CAPS = pytest.mark.parametrize("cap", [(whose, period) for whose in (KEYS, MEMBERS) for period in Period])


def within(cap: tuple[str, Period], limit: str) -> KeyPolicy:
    whose, period = cap
    return replace(POLICY, **{whose: ((period, Decimal(limit)),)})


def capped(cap: tuple[str, Period], limit: str, *, spent: str = "0", **ask: object):
    return replace(ASK, policy=within(cap, limit), **ask), key_counter(spent=spent)


@CAPS
def test_caps_count_what_is_held(cap):
    ask, key = capped(cap, "2.00", spent="0.99")
    assert isinstance(decided(ask, wallet("50"), key=key), Decision)
    key.hold(ask.policy, slot=1, today=TODAY, held=Decimal("0.01"))
    code = "member_limit_exceeded" if cap[0] == MEMBERS else "key_limit_exceeded"
    code = "daily_limit_exceeded" if cap == (KEYS, Period.DAY) else code
    assert decided(ask, wallet("50"), key=key).code == code


@pytest.mark.parametrize(
    ("period", "day"),
    [
        (Period.DAY, date(2026, 11, 22)),
        (Period.WEEK, date(2026, 11, 22)),  # a Sunday
        (Period.MONTH, date(2026, 10, 31)),
    ],
)
@pytest.mark.parametrize("whose", [KEYS, MEMBERS])
def test_what_was_spent_in_a_period_that_is_over_does_not_count(whose, period, day):
    ask = replace(ASK, policy=within((whose, period), "1.50"))
    assert isinstance(decided(ask, wallet("50"), key=key_counter(day, "1.40")), Decision)
    ask = replace(ASK, policy=within((whose, Period.TOTAL), "1.50"))
    assert decided(ask, wallet("50"), key=key_counter(day, "1.40")).status == 403


@CAPS
def test_without_a_limit_of_the_callers_what_a_cap_leaves_sets_one_too(cap):
    ask, key = capped(cap, "20", spent="19.50", may_shrink=True)
    assert decided(ask, wallet("50"), key=key) == Decision(Decimal("0.50"), Decimal("0.50"), 490, 490)
    assert decided(ask, wallet("0.40"), key=key).output_limit == 390, "the smaller of both"
    ask, key = capped(cap, "20", spent="18.99", may_shrink=True)
    assert decided(ask, wallet("50"), key=key).output_limit == 1000


@CAPS
def test_a_caps_rest_sets_no_limit_too_small_to_be_of_use(cap):
    ask, key = capped(cap, "1", spent="0.734", may_shrink=True)
    assert decided(ask, wallet("50"), key=key).output_limit == 256
    ask, key = capped(cap, "1", spent="0.735", may_shrink=True)
    refusal = decided(ask, wallet("50"), key=key)
    assert (refusal.status, refusal.needed, refusal.room) == (403, Decimal("0.26600000"), Decimal("0.265"))
    assert "max_tokens of 255 or less it would fit" in refusal.message


@CAPS
def test_a_caps_refusal_says_what_would_fit_and_when_it_resets(cap):
    ask, key = capped(cap, "1", spent="0.60")
    refusal = decided(ask, wallet("50"), key=key)
    figures = "$0.00000000 is charged and $0.60000000 is held", "this request needs $1.01000000"
    for words in ("$1.00000000 ", *figures, "max_tokens of 390 or less it would fit"):
        assert words in refusal.message
    ends = ("2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z", None)[cap[1]]
    assert f"It resets at {ends}." in refusal.message if ends else "resets" not in refusal.message
    assert refusal.message.startswith("The member who made" if cap[0] == MEMBERS else "This key")


@CAPS
def test_what_the_wallet_does_not_cover_either_is_refused_for_the_balance(cap):
    ask, key = capped(cap, "1", spent="0.60")
    refusal = decided(ask, wallet("0.5"), key=key)
    assert (refusal.status, "max_tokens of 390 " in refusal.message) == (402, True)


@CAPS
def test_a_hold_at_the_estimate_fits_into_what_a_cap_leaves_or_the_bound_is_cut_to_it(cap):
    ask, key = capped(cap, "1", spent="0.80", may_shrink=True)
    assert decided(ask, wallet("50", allowance="5"), key=key).hold == Decimal("0.20")
    ask, key = capped(cap, "1", spent="0.81", may_shrink=True)
    assert decided(ask, wallet("50", allowance="5"), key=key).status == 403
    ask, key = capped(cap, "1", spent="0.70", may_shrink=True, estimate=Decimal("0.90"))
    assert decided(ask, wallet("50", allowance="5"), key=key).hold == Decimal("0.30")


@CAPS
def test_an_exhausted_exposure_does_not_turn_a_caps_refusal_into_one_for_the_balance(cap):
    ask, key = capped(cap, "1", spent="0.60")
    refusal = decided(ask, wallet("50", allowance="1", exposure="0.9"), key=key)
    assert (refusal.status, refusal.needed) == (403, Decimal("1.01000000"))


LONG = replace(ASK, output_limit=32_000, is_extended=True)
"""A stream: a window of 4,096 tokens makes 4.106 of its bound of 32.01."""


def test_a_stream_is_held_for_a_window_and_not_for_its_limit():
    decision = decided(LONG, wallet("5"))
    assert decision == Decision(Decimal("4.106"), Decimal("4.106"), output_limit=32_000, covered=4_096)


def test_a_stream_holds_what_there_is_down_to_what_is_of_use():
    assert decided(LONG, wallet("0.51")) == Decision(Decimal("0.51"), Decimal("0.51"), output_limit=32_000, covered=500)
    assert decided(LONG, wallet("0.266")).covered == 256
    refusal = decided(LONG, wallet("0.265"))
    assert refusal.code == "insufficient_balance"
    assert "$0.26600000" in refusal.message


def test_a_stream_without_a_limit_of_its_callers_gets_the_one_that_the_wallet_covers_now():
    ask = replace(LONG, may_shrink=True)
    assert decided(ask, wallet("10.01")) == Decision(Decimal("4.106"), Decimal("4.106"), 10_000, 4_096)
    assert decided(ask, wallet("0.51")) == Decision(Decimal("0.51"), Decimal("0.51"), 500, 500)


def test_the_allowance_goes_for_a_window_too():
    decision = decided(LONG, wallet("5", allowance="4"))
    assert decision == Decision(Decimal("0.20"), Decimal("4.106"), output_limit=32_000, covered=4_096)


def more(
    wallet: WalletCounter,
    *,
    wanted: str = "1",
    least: str = "0.5",
    key: KeyCounter | None = None,
    policy: KeyPolicy = POLICY,
):
    asked = Extension("gen-1", policy, "output", Decimal(wanted), Decimal(least), TODAY)
    return extend(asked, wallet=wallet, key=key or key_counter())


def test_a_hold_grows_by_what_is_wanted_or_by_what_there_is_if_that_is_of_use():
    assert more(wallet("3")) == Decimal(1)
    assert more(wallet("0.7")) == Decimal("0.7")
    assert more(wallet("0.49")) is TooLittle.BALANCE
    assert more(wallet("-1"), least="0") is TooLittle.BALANCE


@CAPS
def test_a_hold_grows_within_the_caps(cap):
    key = key_counter(spent="1.40")
    assert more(wallet("3"), key=key, policy=within(cap, "2")) == Decimal("0.60")
    refused = more(wallet("3"), key=key, policy=within(cap, "1.8"))
    assert isinstance(refused, CapReached)
    assert (refused.period, refused.limit, refused.spent, refused.needed) == (
        cap[1],
        Decimal("1.8"),
        Decimal("1.40"),
        Decimal("0.5"),
    )
    assert refused.whose == ("member" if cap[0] == MEMBERS else "key")
    assert "this request needs $0.50000000 more" in refused.message


def test_a_hold_that_grows_after_midnight_counts_on_the_day_of_its_request():
    tomorrow = date(2026, 11, 24)
    key, policy = key_counter(tomorrow, "0.25"), within((KEYS, Period.DAY), "0.3")
    assert more(wallet("3"), key=key, policy=policy) == Decimal(1)
    key.hold_more(policy, counted_on=TODAY, held=Decimal(1))
    assert key.spent == [Decimal("0.25"), *[Decimal("1.25")] * 3]
    key.hold_more(policy, counted_on=tomorrow, held=Decimal(1))
    assert key.spent == [Decimal("1.25"), *[Decimal("2.25")] * 3]


def test_a_key_and_its_maker_count_on_one_day_also_where_one_of_them_is_ahead():
    """The account's zone was moved to the west: the member has been counted on tomorrow, the key has not."""
    tomorrow, policy = date(2026, 11, 24), within((MEMBERS, Period.DAY), "3")
    key = key_counter(spent="0.5")
    assert key.member is not None
    key.member.count(tomorrow, Decimal("0.25"))
    assert key.hold(policy, slot=1, today=TODAY, held=Decimal(1)) == tomorrow
    assert (key.spent[Period.DAY], key.member.spent[Period.DAY]) == (Decimal(1), Decimal("1.25"))


def test_requests_at_once_are_counted_with_those_of_the_same_batch():
    policy = replace(POLICY, at_once=2)
    ask, key = replace(ASK, policy=policy), key_counter()
    key.in_flight = 1
    assert isinstance(decided(ask, wallet("50"), key=key), Decision)
    key.hold(policy, slot=1, today=TODAY, held=Decimal(1))
    refusal = decided(ask, wallet("50"), key=key)
    assert (refusal.status, refusal.code, refusal.headers["Retry-After"]) == (429, "rate_limit_exceeded", "1")
    assert "2 requests at once" in refusal.message


@CAPS
def test_what_caps_leave_follows_each_hold_of_a_batch_whichever_key_of_a_member_it_is_of(cap):
    """It is kept from request to request."""
    ask, key = capped(cap, "5.00", spent="1")
    other = KeyCounter([2, 1, 1, True, 0, [0] * 13, TODAY, *NOTHING], key.member)
    theirs = replace(ask.policy, key_id=2)
    is_members = cap[0] == MEMBERS

    def left() -> tuple[Decimal | None, Decimal | None]:
        return (
            meters.left(policy=ask.policy, key=key, now=NOW),
            meters.left(policy=theirs, key=other, now=NOW),
        )

    assert left() == (Decimal(4), Decimal(4) if is_members else Decimal(5))
    key.hold(ask.policy, slot=1, today=TODAY, held=Decimal("1.5"))
    assert left() == (Decimal("2.5"), Decimal("2.5") if is_members else Decimal(5))
    other.hold(theirs, slot=1, today=TODAY, held=Decimal("0.5"))
    assert left() == ((Decimal(2), Decimal(2)) if is_members else (Decimal("2.5"), Decimal("4.5")))
    key.hold_more(ask.policy, counted_on=TODAY, held=Decimal("-0.5"))
    assert left()[0] == (Decimal("2.5") if is_members else Decimal(3))
    later = meters.left(policy=ask.policy, key=key, now=NOW + timedelta(days=40))
    assert later == (Decimal(5) if cap[1] is not Period.TOTAL else left()[0])
