"""What may stand in a key's policy: the one check for the page, the REST API and the command."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

MOST_ITEMS = 100
MAPPED_BITS = 96
LONGEST_MODEL = 200


class InvalidPolicy(ValueError):
    """A value that cannot be meant; `message` may name it as %(value)s, and the most items as %(most)s."""

    def __init__(self, message: "str | _StrPromise", *, value: str = "") -> None:
        super().__init__(value)
        self.message = message
        self.value = value

    def __str__(self) -> str:
        return str(self.message) % {"value": self.value, "most": MOST_ITEMS}


def networks(items: Sequence[str]) -> list[str]:
    """Addresses and CIDR networks in their plain form, no doubles; raises `InvalidPolicy`."""
    found = []
    for item in items:
        try:
            found.append(str(_plain(ip_network(item.strip(), strict=False))))
        except ValueError:
            raise InvalidPolicy(_("%(value)s is no address and no network."), value=item) from None
    return _few(found)


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """`::ffff:192.0.2.1` is 192.0.2.1, as who calls from there is seen."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ip_network((mapped, network.prefixlen - MAPPED_BITS))


def model_names(items: Sequence[str]) -> list[str]:
    """Model ids (`provider/model`) or bare names, no doubles; raises `InvalidPolicy`."""
    for item in items:
        if not item or len(item) > LONGEST_MODEL or not item.isprintable() or any(letter.isspace() for letter in item):
            raise InvalidPolicy(_("%(value)s is no model id."), value=item)
    return _few(items)


def _few(items: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(items))
    if len(unique) > MOST_ITEMS:
        raise InvalidPolicy(_("At most %(most)s may be named."))
    return unique
