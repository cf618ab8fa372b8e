"""Our signature under thoughts that came without one, where a protocol's callers expect one and send it back.

It tells ours from a provider's, which refuses what it did not sign, and shows that nobody wrote a thought in its place.
"""

import base64

from django.utils.crypto import constant_time_compare, salted_hmac

PREFIX = "chuizi1."
OPEN, HIDDEN = "open", "hidden"
SALT = "proxy.protocols.translate.seals"


def seal_of(text: str) -> str:
    digest = salted_hmac(SALT, text.encode("utf-8", "surrogatepass"), algorithm="sha256").digest()
    return PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_ours(seal: str) -> bool:
    return seal.startswith(PREFIX)


def holds(seal: str, text: str) -> bool:
    """Whether we sealed exactly this text."""
    return is_ours(seal) and constant_time_compare(seal, seal_of(text))


def wrapped(seal: str, maker: str, *, is_hidden: bool = False) -> str:
    """Another maker's seal as one of ours, so that it comes back with the thought; its maker looks after what it says.

    `is_hidden` where it is all there is of the thought.
    """
    return f"{PREFIX}{HIDDEN if is_hidden else OPEN}.{maker}.{seal}"


def unwrapped(seal: str) -> tuple[str, str, bool] | None:
    """What `wrapped` was given, None for any other seal."""
    kind, _, held = seal.removeprefix(PREFIX).partition(".") if is_ours(seal) else ("", "", "")
    maker, _, inner = held.partition(".")
    return (inner, maker, kind == HIDDEN) if inner and kind in (OPEN, HIDDEN) else None
