"""Email addresses: one spelling of each, and the mailbox behind one."""

import re
import unicodedata
from functools import cache
from pathlib import Path

import idna

MOST_LENGTH = 254
"""RFC 5321: longer ones reach nobody."""
DISPOSABLE_FILES = tuple(
    Path(__file__).parents[1] / "data" / name for name in ("disposable_domains.txt", "alias_domains.txt")
)
SAME = {
    "googlemail.com": "gmail.com",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "pm.me": "proton.me",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "hanmail.net": "daum.net",
    "narod.ru": "yandex.ru",
    "ya.ru": "yandex.ru",
    **{f"yandex.{end}": "yandex.ru" for end in ("by", "com", "com.tr", "kz", "uz")},
}
"""Domains under which the same mailbox is reached, by the one that stands for them."""
IGNORED = {"gmail.com": ".", "proton.me": "._-", "yandex.ru": ".-"}
"""Characters that a provider does not tell mailboxes apart by (Yandex takes a dot for a hyphen)."""
TAGS = {"ymail.com": "-", "rocketmail.com": "-"}
"""What begins a tag beside the usual plus; so it does under Yahoo's name in every country."""
BELOW = ("fastmail.com", "fastmail.fm")
"""Where every name below belongs to one mailbox: any@ada.fastmail.com reaches ada@fastmail.com."""


def canonical(email: str) -> str:
    """The spelling to keep and to compare: compatible characters made plain, small letters, the domain in ASCII."""
    local, _, domain = unicodedata.normalize("NFKC", email.strip()).lower().rpartition("@")
    return f"{local}@{_ascii(domain)}"


def mailbox(email: str) -> str:
    """The mailbox behind an address: no quotes, no tag, none of the characters that its provider ignores."""
    local, _, domain = canonical(email).rpartition("@")
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    domain = SAME.get(domain, domain)
    below, _, parent = domain.partition(".")
    if parent in BELOW:
        local, domain = below, parent
    for mark in "+" + ("-" if domain.startswith("yahoo.") else TAGS.get(domain, "")):
        local = local.partition(mark)[0] or local
    kept = local.translate(str.maketrans("", "", IGNORED.get(domain, "")))
    return f"{kept}@{domain}"


def is_disposable(email: str) -> bool:
    """Whether the address is at a provider of throw-away addresses or of aliases, or at a name below one."""
    labels = canonical(email).rpartition("@")[2].split(".")
    return any(".".join(labels[start:]) in _disposable_domains() for start in range(len(labels) - 1))


def _ascii(domain: str) -> str:
    """As it is written in DNS. Python's own codec would lead ß to ss, which is another's domain."""
    domain = domain.rstrip(".")
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return domain  # no domain at all; the form's own check says so


@cache
def _disposable_domains() -> frozenset[str]:
    lines = [line for file in DISPOSABLE_FILES for line in file.read_text(encoding="ascii").splitlines()]
    return frozenset(line for line in lines if line and not line.startswith("#"))
