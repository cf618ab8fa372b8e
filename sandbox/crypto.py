"""The three providers' signatures and WeChat's sealed notifications, on `cryptography` alone."""

import base64
import binascii
import hashlib
import hmac
import secrets
import string

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

LETTERS = string.ascii_letters + string.digits


def load_private(pem: str) -> RSAPrivateKey:
    """Raise ValueError or TypeError if it is not an RSA private key."""
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not RSA")
    return key


def load_public(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise TypeError("not RSA")
    return key


def sign(key: RSAPrivateKey, message: str, *, charset: str = "utf-8") -> str:
    """SHA256withRSA in base64: Alipay's RSA2 and WeChat's WECHATPAY2-SHA256-RSA2048."""
    return base64.b64encode(key.sign(message.encode(charset), PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: str, signature: str) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), message.encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def spoil(signature: str) -> str:
    """A signature of the right shape that does not verify."""
    raw = bytearray(base64.b64decode(signature))
    raw[len(raw) // 2] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def seal(key: str, *, nonce: str, text: str, associated: str) -> str:
    """AES-256-GCM with WeChat's APIv3 key, in base64."""
    return base64.b64encode(AESGCM(key.encode()).encrypt(nonce.encode(), text.encode(), associated.encode())).decode()


def stripe_signature(secret: str, *, timestamp: int, body: bytes) -> str:
    """HMAC-SHA256 of `timestamp.body`, in hex: the `v1` of Stripe-Signature."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def digits(count: int) -> str:
    return "".join(secrets.choice(string.digits) for _ in range(count))
