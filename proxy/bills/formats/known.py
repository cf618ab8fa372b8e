"""Every format of bills, in the order in which a file is compared with them."""

from collections.abc import Collection

from proxy.bills.formats import anthropic, gateways, openai, openrouter, plain
from proxy.bills.formats.base import Format

FORMATS: dict[str, Format] = {
    one.code: one for module in (openai, anthropic, openrouter, gateways, plain) for one in module.FORMATS
}


def recognise(columns: Collection[str]) -> Format | None:
    """The first format whose columns are all there."""
    return next((one for one in FORMATS.values() if one.columns <= set(columns)), None)
