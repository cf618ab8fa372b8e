"""What a model gives out sealed and takes back only as it was: signatures of thinking, of calls, hidden reasoning."""

import base64
import binascii
import hashlib
import hmac
import secrets

KEY = b"the sandbox's own"
NONCE, MARK = 12, 20
STANDARD = str.maketrans("-_", "+/")


def seal(text: str) -> str:
    """Base64 that goes with this text alone."""
    nonce = secrets.token_bytes(NONCE)
    return base64.b64encode(nonce + _mark(nonce, text)).decode()


def fits(text: str, *, sealed: str) -> bool:
    """Whether it was made here, for this text; in either alphabet of base64."""
    try:
        raw = base64.b64decode(sealed.translate(STANDARD), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(raw[NONCE:], _mark(raw[:NONCE], text))


def _mark(nonce: bytes, text: str) -> bytes:
    return hmac.digest(KEY, nonce + text.encode(errors="replace"), hashlib.sha256)[:MARK]
