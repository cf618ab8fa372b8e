"""Parts of a request that only the account which made them can open: reasoning, signatures, contexts summed up.

They go on as they came, wherever the request goes. Which account made them nobody tells, so it is taken to be the one
that its session goes to; where that cannot have made them, the others are asked under the same hold.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from proxy.errors import Refusal
from proxy.prices.catalog import Destination

NAMES = (b'encrypted_content"', b'ignature"', b'"redacted_thinking"')
"""Ends of names of members (`signature`, `thoughtSignature`, `thought_signature`), and of a kind of part, in whichever
protocol. Inside of a text a quote is escaped."""
CODE = "invalid_encrypted_content"
UNOPENED = re.compile(
    r"encrypted[ _]content.{0,300}could not be (?:verified|decrypted|parsed)"
    r"|invalid `?encrypted_(?:content|index)\b"
    r"|invalid `?(?:signature|data)`? in `?(?:redacted_)?thinking\b"
    r"|thought[ _]?signature is (?:not valid|invalid)|(?:invalid|corrupted) thought[ _]?signature",
    re.IGNORECASE | re.DOTALL,
)
"""How providers say that they cannot; gateways pass on each other's words, so in whichever protocol too."""


class Unopened(Refusal):
    """What is sealed in a request cannot be opened at this account: another may, and the upstream has not failed."""

    @property
    def is_final(self) -> bool:
        return False

    @property
    def is_failure(self) -> bool:
        return False


def judged(refusal: Refusal) -> Refusal:
    """The same, or an `Unopened` where it says so: then it is the caller's to know, whatever status it came with."""
    if refusal.code != CODE and not UNOPENED.search(refusal.message):
        return refusal
    status, code = (400, "validation_error") if refusal.status >= 500 else (refusal.status, refusal.code)
    return Unopened(status, code, refusal.message, refusal.param)


def at_home_first(destinations: Sequence[Destination], body: bytes) -> Sequence[Destination]:
    """Those of the first one's account before the others, where the body has something sealed."""
    if all(one.account == other.account for one, other in pairwise(destinations)):
        return destinations
    if not any(name in body for name in NAMES):
        return destinations
    home = destinations[0].account
    return sorted(destinations, key=lambda destination: destination.account != home)
