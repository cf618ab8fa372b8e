"""An upstream's words before a caller may read them: no keys, no hosts, no accounts; what the caller wrote stays.

Cut first, then cleaned, by patterns whose repetitions are all bounded: the time is linear in at most 500 characters.
"""

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from urllib.parse import unquote, urlsplit

MOST_TEXT = 500
MOST_OWN = 2_000_000
"""Bytes of the caller's body that a word is looked for in."""
LEAST_SECRET = 6
REMOVED = "[removed]"
TOP_LEVELS = (
    "com|net|org|io|ai|dev|app|co|cn|hk|tw|jp|kr|sg|in|de|fr|uk|us|eu|ru|br|ca|au|nl|se|cloud|tech|xyz|info|biz|me|"
    "local|localdomain|internal|intranet|corp|lan|home|svc|cluster|private|test|example|invalid"
)
SUSPECTS = re.compile(
    r"\b[a-z][a-z0-9+.-]{0,20}(?:://|%3a%2f%2f)[^\s\"'<>]{1,400}"
    r"|[\w.+-]{1,64}@[\w.-]{1,253}"
    r"|\barn:[\w:/.*-]{4,200}"
    r"|\bprojects/[\w-]{4,60}"
    r"|\bip-\d{1,3}(?:-\d{1,3}){3}\b"
    r"|\b(?:bearer|basic)\s{1,4}[^\s\"',;]{4,400}"
    r"|\beyJ[\w-]{4,400}(?:\.[\w-]{0,400}){0,4}"  # JSON web tokens
    r"|-----BEGIN [A-Z ]{1,40}-----.{0,400}"
    r"|\[?(?:\b[0-9a-f]{1,4})?(?::[0-9a-f]{0,4}){1,6}:\d{1,3}(?:\.\d{1,3}){3}\]?(?::\d{1,5})?"  # IPv4 within IPv6
    r"|\[?\b[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,8}(?:%\w{1,16})?\]?(?::\d{1,5})?"  # perhaps IPv6
    r"|::[0-9a-f:]{1,40}"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?:/\d{1,2})?\b"
    r"|\b(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.){1,8}(?:" + TOP_LEVELS + r")\b\.?(?::\d{1,5})?"
    r"|\blocalhost(?::\d{1,5})?\b"
    r"|\b[a-z0-9][a-z0-9_.-]{0,80}:\d{2,5}\b"  # a host of one word, by its port
    r"|[\w.+/=-]{2,24}(?:\*{2,60}|\.{3,60}|…{1,20}|•{2,60}|x{6,60})[\w.+/=-]{0,24}"  # a masked key
    r"|[\w+/=-]{8,400}",  # perhaps a key, by its letters
    re.IGNORECASE,
)
MASK = re.compile(r"(\*{2,}|\.{3,}|…+|•{2,}|[xX]{6,})")
VENDORS = re.compile(
    r"(?:sk|pk|rk|ck|gsk|xai|hf|xox[a-z]|r8|nvapi|pplx|fw|tgp|csk|glpat|ghp|gho|dop|whsec)[-_]|AKIA|ASIA|AIza|ya29|github_pat_"
)
"""How keys of the known vendors begin."""
NAMED = re.compile(
    r"(?:key|api|org|organization|proj|project|acct|account|req|request|user|team|workspace|tenant|ws|cust)[-_]",
    re.IGNORECASE,
)
"""How ids of accounts begin, and many a name that people choose."""


NAMED_VALUES = re.compile(
    r"(?P<sign>\bauthorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?P<header>(?:[a-z]{1,20}\s{1,4})?[^\s\"',;]{1,400})"
    r"|(?P<label>\b(?:x-)?(?:api[-_ ]?|access[-_ ]?|secret[-_ ]?)?(?:key|secret|password|passwd|token)[\"']?"
    r"(?:\s{0,3}[:=]\s{0,3}|\s{1,2}(?=[\"'`]))[\"'`]?)(?P<value>[^\s\"'`,;]{4,400})"
    r"|(?P<whose>\b(?:org|organi[sz]ation|account|project|tenant|subscription|workspace|team)(?: id| number)?"
    r"[ :=]{1,3}[\"'`]?)(?P<name>[\w.-]{4,80})"
    r"|(?P<where>\b(?:host|server|node|pod|worker|peer|upstream|backend|endpoint|to|at|from)[ :=]{1,3}[\"'`]?)"
    r"(?P<place>[a-z][a-z0-9.-]{0,80}(?::\d{4,5}|[\"']?,?\s?port[ =:]{1,2}\d{2,5})\b)",
    re.IGNORECASE,
)
"""What a word before it says to be a key, an account or a host."""
IP_NAME = re.compile(r"ip(?:-\d{1,3}){4}$", re.IGNORECASE)
BREAK = r"(?:\s|\\{1,2}[nrt]){0,6}"
PORT = r"(?:(?::|%3a)\d{1,5})?"
DOTTED = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}")
PIECE = 8
"""So many letters of the key in use, with a digit among them, are it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an upstream knows of its operator: the key in use, where it is, whose account it is."""

    api_key: str = ""
    base_url: str = ""
    account: str = ""

    def spellings(self) -> Iterator[str]:
        """Each as it stands; the longest first."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        known = {self.api_key, parts.netloc.rpartition("@")[2], host, unquote(parts.password or "")}
        known |= set(self.host_names())
        if any(letter.isdigit() for letter in self.account) or "@" in self.account:
            known.add(self.account)  # a plain word such as "main" is no secret
        return iter(sorted((text for text in known if len(text) >= LEAST_SECRET), key=len, reverse=True))

    def host_names(self) -> Iterator[str]:
        """What names the host alone: `gpu-7` of `gpu-7.prod.example.com` does; `api` or `openai` is a word."""
        labels = (urlsplit(self.base_url).hostname or "").split(".")
        names = (".".join(labels[:count]) for count in range(1, len(labels) + 1))
        return (name for name in names if "-" in name or any(letter.isdigit() for letter in name))


def cleaned(text: str, *, secrets: Secrets, own: bytes = b"") -> str:
    """At most 500 characters of it without what is the operator's; `own` is the caller's body, whose words stay."""
    was_cut = len(text) > MOST_TEXT
    text = _printable(text[:MOST_TEXT])
    for pattern in _patterns(secrets):
        text = pattern.sub(REMOVED, text)
    if was_cut:
        text = _without_half_a_secret(text, secrets)
    written = own[:MOST_OWN]
    if (short := _short_names(secrets)) is not None:
        text = short.sub(lambda found: _unless_own(found.group(), written), text)
    text = NAMED_VALUES.sub(lambda found: _judged_by_name(found, written), text)
    text = SUSPECTS.sub(lambda found: _judged(found.group(), secrets, written), text)
    return " ".join(text.split())[:MOST_TEXT].rstrip()


def _printable(text: str) -> str:
    """Without what nobody sees, which would hide a secret from the patterns; breaks of lines become spaces."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "" for letter in text)


@lru_cache(maxsize=256)
def _patterns(secrets: Secrets) -> tuple[re.Pattern[str], ...]:
    """The secrets in any spelling: each letter as itself, or escaped as in an address, in JSON or on a page; the key
    also where it is broken over lines."""
    return tuple(
        re.compile((BREAK if secret == secrets.api_key else "").join(map(_spelt, secret)) + PORT, re.IGNORECASE)
        for secret in secrets.spellings()
        if len(secret) <= 1000
    )


def _spelt(letter: str) -> str:
    code = f"{ord(letter):02x}"
    ways = [
        re.escape(letter),
        f"%{code}",
        f"%25{code}",
        rf"\\{{1,2}}u{ord(letter):04x}",
        rf"\\x{code}",
        f"&#0?{ord(letter)};",
        f"&#x{code};",
    ]
    if letter == "/":
        ways.append(r"\\{1,2}/")
    return f"(?:{'|'.join(ways)})"


@lru_cache(maxsize=256)
def _short_names(secrets: Secrets) -> re.Pattern[str] | None:
    """Of the host, what may stand within any word: as a word of its own."""
    names = [re.escape(name) for name in secrets.host_names() if 2 <= len(name) < LEAST_SECRET]
    return re.compile(rf"(?<![\w./-])(?:{'|'.join(names)})(?![\w-]){PORT}", re.IGNORECASE) if names else None


def _judged_by_name(found: re.Match[str], own: bytes) -> str:
    """The word before it, and what it names where that is harmless or the caller's own."""
    kind = found.lastgroup
    value = found.group(kind or 0)
    label = found.group()[: -len(value)]
    if kind == "value":
        is_secret = _is_mixed(value)
    elif kind == "name":
        is_secret = value.isdigit() or "-" in value[1:-1] or _is_mixed(value)
    else:
        is_secret = True
    if not is_secret or REMOVED in value:
        return found.group()
    return label + _unless_own(value, own)


def _judged(word: str, secrets: Secrets, own: bytes) -> str:
    """What a suspect becomes: itself where it is harmless or the caller's own."""
    if word == REMOVED or not _is_secret(word, secrets):
        return word
    return _unless_own(word, own)


def _unless_own(word: str, own: bytes) -> str:
    return word if own and _stands_in(own, word.rstrip(".,;:!?)]}*`")) else REMOVED


def _stands_in(own: bytes, word: str) -> bool:
    """Whether the caller wrote it, in one of the ways in which programs write JSON."""
    escaped = json.dumps(word)[1:-1]
    return any(way.encode() in own for way in {word, escaped, escaped.replace("/", "\\/")})


def _is_secret(word: str, secrets: Secrets) -> bool:
    lower = word.lower()
    if "://" in word or "%3a%2f%2f" in lower:
        return True
    if lower.startswith(("eyj", "-----begin", "localhost", "arn:", "projects/")) or IP_NAME.match(word):
        return True
    if "@" in word:
        return not word.rpartition("@")[2].isdigit()  # that would be a model's version
    if _has_piece_of_key(word, secrets.api_key):
        return True
    if lower.startswith(("bearer", "basic")) and " " in " ".join(lower.split()):
        return _is_random(word.split(maxsplit=1)[1]) or VENDORS.match(word.split(maxsplit=1)[1]) is not None
    if len(parts := MASK.split(word, maxsplit=1)) == 3:
        return _is_masked_key(parts[0], parts[2], secrets)
    if ":" in word or word.count(".") == 3:
        return _is_place(word)
    if "." in word and word.rpartition(".")[2].isalpha():
        return True  # a host by its top level
    return _looks_like_a_key(word)


def _is_masked_key(left: str, right: str, secrets: Secrets) -> bool:
    """`sk-abc...wxyz`: ends of the key in use, or of one of a known vendor."""
    key = secrets.api_key
    if len(key) >= LEAST_SECRET and (
        (len(left) >= 2 and key.startswith(left)) or (len(right) >= 3 and key.endswith(right.rstrip(".")))
    ):
        return True
    return VENDORS.match(left) is not None or NAMED.match(left) is not None


def _is_place(word: str) -> bool:
    """An address by number, or a host of one word with a port; not a time, a ratio or a C++ name."""
    plain = word.strip("[]").partition("%")[0].partition("/")[0]
    if not any(letter.isdigit() for letter in plain) and "::" in plain:
        return False
    if DOTTED.match(plain) or DOTTED.search(plain.rpartition(":")[2]):
        return True
    if MOMENT.match(plain):
        return False
    host, _, port = word.rpartition(":")
    for text in (plain, host.strip("[]")):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            continue
        return True
    if not port.isdigit() or not host or "::" in word:
        return False
    named = any(letter.isalpha() for letter in host)
    return named and ("-" in host or "." in host or any(letter.isdigit() for letter in host))


def _looks_like_a_key(word: str) -> bool:
    """Random, or with a vendor's beginning, or an id with a digit in it; words that people choose are none of these."""
    if found := VENDORS.match(word):
        rest = word[found.end() :]
        return len(rest) >= LEAST_SECRET and (len(rest) >= 12 or _is_random(rest, least=LEAST_SECRET))
    if found := NAMED.match(word):
        rest = word[found.end() :]
        return len(rest) >= LEAST_SECRET and any(letter.isdigit() for letter in rest)
    if any(letter.isdigit() for letter in word) and re.fullmatch(r"[a-z]{2,8}[-_][0-9A-Za-z]{16,}", word):
        return True
    if re.fullmatch(r"[0-9a-fA-F]{16,}", word) and _is_mixed(word):
        return True
    if re.fullmatch(r"[0-9a-fA-F-]{32,}", word):
        return True
    if 8 * sum(not letter.isalnum() for letter in word.rstrip("=")) > len(word):
        return False  # a row of words, such as a model's name
    return _is_random(word, least=24)


def _is_mixed(text: str) -> bool:
    """Digits and letters, and long enough for a secret."""
    return (
        len(text) >= LEAST_SECRET
        and any(letter.isdigit() for letter in text)
        and any(letter.isalpha() for letter in text)
    )


def _has_piece_of_key(word: str, key: str) -> bool:
    pieces = (key[start : start + PIECE].lower() for start in range(len(key) - PIECE + 1))
    lower = word.lower()
    return any(piece in lower for piece in pieces if any(letter.isdigit() for letter in piece))


def _is_random(text: str, *, least: int = 12) -> bool:
    """Letters and digits mixed as no person writes: a digit within letters, and no row of words."""
    letters = re.sub(r"[^0-9A-Za-z]", "", text)
    if len(letters) < least:
        return False
    if re.fullmatch(r"[0-9a-fA-F-]{32,}", text):
        return True
    has_digit = any(letter.isdigit() for letter in letters)
    changes = sum(_class(one) != _class(other) for one, other in pairwise(letters))
    if has_digit:
        return changes >= max(2, len(letters) // 8)
    return changes >= max(4, len(letters) * 0.42)


def _class(letter: str) -> int:
    return 0 if letter.isdigit() else 1 if letter.islower() else 2


def _without_half_a_secret(text: str, secrets: Secrets) -> str:
    """A secret that the cut went through is not whole any more, and still its beginning."""
    for secret in secrets.spellings():
        for length in range(min(len(secret), len(text)), LEAST_SECRET - 1, -1):
            if text.lower().endswith(secret[:length].lower()):
                return text[:-length] + REMOVED
    return text
