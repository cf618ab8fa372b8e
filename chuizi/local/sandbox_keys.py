"""The keys Chuizi and the sandbox share, made once: what a merchant and a provider would have exchanged."""

import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chuizi.local.state import kept, make_folder, write_private

# The merchant signs with `private` of the first of a pair and the provider with that of the second.
KEY_PAIRS = (
    ("alipay_app_private.pem", "alipay_app_public.pem"),
    ("alipay_platform_private.pem", "alipay_platform_public.pem"),
    ("wechat_merchant_private.pem", "wechat_merchant_public.pem"),
    ("wechat_platform_private.pem", "wechat_platform_public.pem"),
)
LETTERS = string.ascii_letters + string.digits


def _letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def _hex(count: int) -> str:
    return secrets.token_hex(count // 2).upper()


TEXTS: dict[str, Callable[[], str]] = {
    "wechat_merchant_cert_serial.txt": lambda: _hex(40),
    "wechat_apiv3_key.txt": lambda: _letters(32),
    "wechat_public_key_id.txt": lambda: "PUB_KEY_ID_01" + "".join(secrets.choice(string.digits) for _ in range(30)),
    "stripe_secret_key.txt": lambda: "sk_test_" + _letters(48),
    "stripe_webhook_secret.txt": lambda: "whsec_" + _letters(32),
}


def ensure(state: Path, given: Mapping[str, str] | None = None) -> Path:
    """The folder `sandbox-keys` with every file in it, each private to us.

    `given` are contents by file name that a person has chosen, so that both sides use them.
    """
    folder = make_folder(state / "sandbox-keys")
    for private, public in KEY_PAIRS:
        if not ((folder / private).exists() and (folder / public).exists()):
            _make_pair(folder / private, folder / public)
    for name, content in (given or {}).items():
        write_private(folder / name, content)
    for name, make in TEXTS.items():
        kept(folder / name, make)
    return folder


def _make_pair(private: Path, public: Path) -> None:
    """RSA 2048, PKCS#8 and SubjectPublicKeyInfo, LF only: what all three SDKs read."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    inside = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    outside = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(private, inside.decode("ascii"))
    write_private(public, outside.decode("ascii"))
