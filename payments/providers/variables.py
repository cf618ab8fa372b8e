"""A provider's variables, read as what they should be; `ImproperlyConfigured` names the one that is not."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from django.core.exceptions import ImproperlyConfigured


def check_address(name: str, address: str, *, debug: bool) -> None:
    """Raises `ImproperlyConfigured` for what is no URL, and for a sandbox outside of DEBUG."""
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise ImproperlyConfigured(f"{name} must be a URL such as https://api.example.com.")
    if is_local(address) and not debug:
        raise ImproperlyConfigured(f"{name} is a sandbox on this machine, which needs DEBUG=True.")
    if not is_local(address) and urlsplit(address).scheme != "https":
        raise ImproperlyConfigured(f"{name} must start with https://.")


def is_local(url: str) -> bool:
    """Whether a URL leads to this machine or its network; "" leads nowhere."""
    host = urlsplit(url).hostname or ""
    if not host:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def pem(values: Mapping[str, str], name: str) -> str:
    """The PEM itself, from the variable or from the file it names, with plain line ends."""
    text = values[name]
    if "-----BEGIN" not in text:
        try:
            text = Path(text).read_text(encoding="ascii")
        except (OSError, ValueError):
            raise ImproperlyConfigured(f"{name} is neither a PEM (-----BEGIN ...) nor a file with one.") from None
    return text.strip().replace("\r\n", "\n") + "\n"


def private_key(values: Mapping[str, str], name: str, *, pkcs8: bool = False) -> str:
    """A private key's PEM."""
    text = pem(values, name)
    if pkcs8 and "BEGIN PRIVATE KEY" not in text:
        raise ImproperlyConfigured(f"{name} must be in PKCS#8 (-----BEGIN PRIVATE KEY-----).")
    try:
        load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError):
        raise ImproperlyConfigured(f"{name} is not a private key in PEM form.") from None
    return text


def public_key(values: Mapping[str, str], name: str) -> str:
    """A public key's PEM."""
    text = pem(values, name)
    try:
        load_pem_public_key(text.encode())
    except ValueError:
        raise ImproperlyConfigured(f"{name} is not a public key in PEM form.") from None
    return text
