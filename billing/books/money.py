"""Money is made and rounded here alone: USD at 8 places inside and 2 at the edge of cash, others as cash has."""

import re
from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Decimal,
    InvalidOperation,
)

ZERO = Decimal("0.00000000")
MICRO = Decimal("0.00000001")
CENT = Decimal("0.01")
LARGEST = Decimal(999999999999)
_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF "
    "CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN "
    "NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD "
    "STD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU UZS WST XCD XCG YER ZAR ZMW"
)
_NONE = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE = "BHD JOD KWD OMR TND"
PLACES = {code: places for places, codes in ((2, _TWO), (0, _NONE), (3, _THREE)) for code in codes.split(" ")}
"""Decimal places of cash by currency, as Stripe writes amounts (docs.stripe.com/currencies: ISK and UGX with two)."""
# Decimal alone would take "1_000" and the digits of every script.
WRITTEN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


class InvalidAmount(ValueError):
    """The text is not an amount of money."""


def usd(value: Decimal | str | int) -> Decimal:
    """An exact USD amount at 8 places; raises `InvalidAmount` if it has more places, or is no number."""
    return _exact(value, MICRO)


def cents(value: Decimal | str | int) -> Decimal:
    """An exact amount at 2 places (USD cash or CNY); raises `InvalidAmount` if it has more places."""
    return _exact(value, CENT)


def cents_as_written(value: object) -> Decimal:
    """As `cents`, of what somebody sent: in a text `1.000` has three decimals, and `1e2` is no amount."""
    if not isinstance(value, str | int | Decimal):
        raise InvalidAmount(f"{type(value).__name__} is not an amount")
    if isinstance(value, str) and ("e" in value.lower() or len(value.partition(".")[2].strip()) > 2):
        raise InvalidAmount(f"{value[:40]!r} is not an amount with at most 2 decimals")
    return cents(value)


def exact(value: Decimal | str, *, currency: str) -> Decimal:
    """An amount at the places of its currency's books; raises `InvalidAmount` rather than round."""
    return _exact(value, MICRO if currency == "USD" else step_of(currency))


def step_of(currency: str) -> Decimal:
    """The least amount of cash in a currency (`0.01`, `1`, `0.001`); raises `InvalidAmount` for an unknown one."""
    try:
        return Decimal(1).scaleb(-PLACES[currency])
    except KeyError:
        raise InvalidAmount(f"{currency[:10]!r} is no known currency") from None


def charge(value: Decimal) -> Decimal:
    """Round an exact sum to a charge: once, half-even, 8 places (docs/ledger.md, "Amounts")."""
    return value.quantize(MICRO, rounding=ROUND_HALF_EVEN)


def floor_cents(value: Decimal) -> Decimal:
    """Round down to the cent or fen: what is paid out is never more than what is owed."""
    return value.quantize(CENT, rounding=ROUND_DOWN)


def net_of(gross: Decimal, *, rate: Decimal) -> Decimal:
    """What of a price that includes tax is without it, `gross / (1 + rate)`, to the cent or fen, half-even."""
    return (gross / (1 + rate)).quantize(CENT, rounding=ROUND_HALF_EVEN)


def convert_to_cny(amount: Decimal, *, rate: Decimal) -> Decimal:
    """USD to CNY at `rate` yuan a dollar, to the fen, half-up."""
    return (amount * rate).quantize(CENT, rounding=ROUND_HALF_UP)


def fee_on(base: Decimal, *, percent: Decimal, fixed: Decimal) -> Decimal:
    """A fee on top of `base`, in its currency, to the cent or fen, half-up."""
    return (base * percent / 100 + fixed).quantize(CENT, rounding=ROUND_HALF_UP)


def minor(value: Decimal) -> int:
    """Cents or fen of an amount with 2 places."""
    return int(cents(value).scaleb(2))


def from_minor(value: int, *, currency: str = "USD") -> Decimal:
    """An amount from its minor units; raises `InvalidAmount` for a currency whose units are not known."""
    step = step_of(currency)
    return (Decimal(value) * step).quantize(step)


def shown(value: Decimal, *, currency: str) -> str:
    """An amount with its currency for people, such as `1,234.50 EUR`; what is finer than cash keeps its places."""
    places = PLACES.get(currency, 2)
    step = Decimal(1).scaleb(-places)
    exact_enough = value == value.quantize(step)
    return f"{value:,.{places}f} {currency}" if exact_enough else f"{value:,f} {currency}"


def api_amount(value: Decimal) -> str:
    """An amount as the API has it: a string with 8 places."""
    return f"{value.quantize(MICRO):f}"


def _exact(value: Decimal | str | int, step: Decimal) -> Decimal:
    if isinstance(value, bool | float):
        raise InvalidAmount(f"{value!r} is not exact")
    try:
        if isinstance(value, str):
            value = value.strip()
            if not WRITTEN.fullmatch(value):
                raise InvalidAmount(f"{value[:40]!r} is not an amount")
        number = Decimal(value)
        if not number.is_finite() or abs(number) > LARGEST:
            raise InvalidAmount(f"{value!r} is not an amount")
        rounded = number.quantize(step)
    except InvalidOperation:
        raise InvalidAmount(f"{value!r} is not an amount") from None
    if rounded != number:
        raise InvalidAmount(f"{value!r} has more than {-int(step.as_tuple().exponent)} decimal places")
    return rounded
