"""Names of tools as a target takes them, and back.

A namespace is part of the name elsewhere. A name goes by itself and its namespace alone: each turn says the same.
"""

import re

from core.records import value
from proxy.protocols.translate.ids import digest

FITS = re.compile(r"[A-Za-z0-9_-]{1,64}")
ODD = re.compile(r"[^A-Za-z0-9_-]")
APART = "\n"
LONGEST, DIGEST_CHARACTERS = 64, 10


@value
class Named:
    """A tool as the caller knows it."""

    name: str
    namespace: str = ""


class Names:
    """The tools of one request."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, str], str] = {}
        self._offered: dict[str, Named] = {}
        self._by_name: dict[str, set[str]] = {}

    def offer(self, tool: Named) -> str:
        """Its name elsewhere: another than that of every other tool."""
        key = tool.namespace, tool.name
        flat = self._flat.get(key) or _flat(*key)
        if flat in self._offered and key not in self._flat:
            flat = _made(*key)
        self._flat[key] = flat
        self._offered[flat] = tool
        self._by_name.setdefault(tool.name, set()).add(flat)
        return flat

    def of_call(self, namespace: str, name: str) -> str:
        """Of a tool that may be offered no more."""
        return self._flat.get((namespace, name)) or _flat(namespace, name)

    def chosen(self, namespace: str, name: str) -> str:
        """Of one that is named to be called: many leave its namespace out."""
        if (namespace, name) in self._flat:
            return self._flat[namespace, name]
        found = self._by_name.get(name, ()) if not namespace else ()
        return next(iter(found)) if len(found) == 1 else _flat(namespace, name)

    def back(self, flat: str) -> Named:
        return self._offered.get(flat) or Named(flat)


def _flat(namespace: str, name: str) -> str:
    flat = f"{namespace}__{name}" if namespace else name
    return flat if FITS.fullmatch(flat) else _made(namespace, name)


def _made(namespace: str, name: str) -> str:
    readable = ODD.sub("_", f"{namespace}__{name}" if namespace else name)[: LONGEST - DIGEST_CHARACTERS - 1]
    return f"{readable}_{digest(namespace + APART + name, most=DIGEST_CHARACTERS)}"
