"""Addresses of the network: which one a request comes from, and which are public."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

GLOBAL_UNICAST = IPv6Network("2000::/3")
"""RFC 4291: all that is routed in IPv6; what lies outside is local, multicast, or means an IPv4 address."""
SIX_TO_FOUR = IPv6Network("2002::/16")
NUMBER = re.compile("0x[0-9a-f]*")
NAT64 = IPv6Network("64:ff9b::/96")
NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4, RFC 7526
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "3fff::/20",  # documentation, RFC 9637
        "3ffe::/16",  # the 6bone, given back
        "168.63.129.16/32",  # Azure's platform, which answers each of its machines
    )
)
"""Special networks that Python's own list leaves out in one release or another."""
OUR_OWN = tuple(
    ip_network(text) for text in ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""This machine, and private networks."""
METADATA = tuple(ip_network(text) for text in ("fd00:ec2::/32", "fd20:ce::254/128"))
"""Where clouds answer machines about themselves, secrets among it, in what would be private otherwise."""


# --- Who asks -----------------------------------------------------------------------------------------------------


def client_address(*, peer: str, forwarded_for: str) -> str:
    """The client's address: the peer's, or what our own proxies wrote into X-Forwarded-For, all its lines joined.

    Counted from the right, as each proxy adds at the end. TRUSTED_PROXY_DEPTH n takes the n-th. TRUSTED_PROXIES takes
    the word of those networks alone: of the first address outside of them, nothing further is believed.
    """
    depth, networks = settings.TRUSTED_PROXY_DEPTH, settings.TRUSTED_PROXIES
    if not depth and not networks:
        return peer
    hops = [hop for hop in forwarded_for.split(",") if hop.strip()]
    if depth > len(hops):
        return peer
    address = peer
    for hop in reversed(hops[-depth:]):
        found = _hop(hop)
        if found is None or (networks and not lies_in(address, networks)):
            break
        address = found
    return address


def _hop(text: str) -> str | None:
    """The address that a proxy wrote down, without the port that some add; None for what is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = parsed(text)
    return None if found is None else str(found)


def origin(address: str) -> str:
    """What rates count an address by: itself, or the /64 of IPv6, in which one machine has as many as it likes."""
    found = parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64))
    return address if found is None else str(found)


def lies_in(address: str, networks: Sequence[Network]) -> bool:
    found = parsed(address)
    return found is not None and any(found in network for network in networks)


def parsed(text: str) -> Address | None:
    """An address, one of IPv4 in either of its spellings; None for a name."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


# --- What is public -----------------------------------------------------------------------------------------------


def is_literal(host: str) -> bool:
    """Whether a host is named by number, in whatever spelling: a resolver is not asked about `127.1` or `2130706433`.

    No top-level domain is a number (the URL standard's rule).
    """
    last = host.removesuffix(".").rpartition(".")[2].lower()
    return ":" in host or last.isdigit() or NUMBER.fullmatch(last) is not None


def is_public(address: str) -> bool:
    """Whether it is one machine's address in the public network, and so is the address of IPv4 that it means."""
    found = parsed(address)
    return found is not None and _is_global_unicast(_meant(found))


def is_our_own(address: str) -> bool:
    """Whether it is this machine, or one of a private network; never link-local, or where a cloud's metadata is."""
    found = parsed(address)
    if found is None:
        return False
    meant = _meant(found)
    return any(meant in network for network in OUR_OWN) and not any(meant in network for network in METADATA)


def _meant(address: Address) -> Address:
    """The address, or the one of IPv4 that a translator or tunnel would take out of it."""
    if isinstance(address, IPv6Address) and address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if isinstance(address, IPv6Address) and address in SIX_TO_FOUR:
        return IPv4Address(int(address) >> 80 & 0xFFFFFFFF)
    return address


def _is_global_unicast(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address.scope_id):
        return False
    if address.is_multicast or address.is_reserved or any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global


def request_address(request: "HttpRequest") -> str:
    """The client's address of a Django request."""
    return client_address(
        peer=request.META.get("REMOTE_ADDR", ""), forwarded_for=request.headers.get("X-Forwarded-For", "")
    )
