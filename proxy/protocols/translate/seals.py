"""Our signature under thoughts that came without one, where a protocol's callers expect one and send it back.

It tells ours from a provider's, which refuses what it did not sign, and shows that nobody wrote a thought in its place.
"""

import base64

from django.utils.crypto import constant_time_compare, salted_hmac

PREFIX = "chuizi1."
SALT = "proxy.protocols.translate.seals"


def seal_of(text: str) -> str:
    digest = salted_hmac(SALT, text.encode("utf-8", "surrogatepass"), algorithm="sha256").digest()
    return PREFIX + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_ours(seal: str) -> bool:
    return seal.startswith(PREFIX)


def holds(seal: str, text: str) -> bool:
    """Whether we sealed exactly this text."""
    return is_ours(seal) and constant_time_compare(seal, seal_of(text))
