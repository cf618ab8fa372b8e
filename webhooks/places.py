"""Where deliveries may go: https alone, to addresses of the public network.

They are looked at when an endpoint is saved, and again at each delivery: the connection goes to what was looked at.
"""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate

from django.conf import settings
from django.utils.translation import gettext as _
from yarl import URL

from core.addresses import is_literal, is_our_own, is_public
from core.outside import outside

LONGEST = 2000
RESOLVE_SECONDS = 5.0
_asking = ThreadPoolExecutor(8, thread_name_prefix="webhook-names")


class PlaceRefused(Exception):
    """An address that nothing is posted to; the text says why."""


def is_allowed(address: str) -> bool:
    """Whether a connection may go to this address of the network."""
    return is_public(address) or (settings.ALLOW_PRIVATE_WEBHOOKS and is_our_own(address))


def parsed(text: str) -> URL:
    """The address of an endpoint, all but its name's addresses looked at; raises `PlaceRefused`."""
    if not text or len(text) > LONGEST or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise PlaceRefused(_("This is no address of a page: https://..."))
    try:
        url = URL(text)
        host, port = url.raw_host or "", url.port
    except ValueError:
        raise PlaceRefused(_("This is no address of a page: https://...")) from None
    schemes = ("https", "http") if settings.ALLOW_PRIVATE_WEBHOOKS else ("https",)
    if url.scheme not in schemes or not host or not port or "\\" in text:
        raise PlaceRefused(_("The address has to begin with https://."))
    if "@" in re.split(r"[/?#]", text.partition("//")[2], maxsplit=1)[0]:
        raise PlaceRefused(_("The address may hold no name and no password before its host."))
    if url.raw_fragment:
        raise PlaceRefused(_("The address may have no part after #: it would not be sent."))
    if is_literal(host) and not is_allowed(host):
        raise PlaceRefused(_not_public(host))
    return url


def check(text: str) -> str:
    """An address as it is kept, its name resolved and each of its addresses looked at; raises `PlaceRefused`."""
    url = parsed(text)
    host = url.raw_host or ""
    if is_literal(host):
        return str(url)
    with outside():
        try:
            found = _asking.submit(socket.getaddrinfo, host, url.port, type=socket.SOCK_STREAM).result(RESOLVE_SECONDS)
        except (OSError, UnicodeError, TooLate):
            raise PlaceRefused(_("The name %(host)s leads nowhere.") % {"host": host}) from None
    if not found or not all(is_allowed(str(address[4][0])) for address in found):
        raise PlaceRefused(_not_public(host))
    return str(url)


def _not_public(host: str) -> str:
    return _("%(host)s is not an address of the public network.") % {"host": host}
