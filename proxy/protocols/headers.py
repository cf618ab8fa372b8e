"""The headers of a caller that go upstream: those of its protocol's list, and no others."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

LONGEST = 4_000
"""Characters of a value."""


def chosen(
    headers: Mapping[bytes, bytes], names: AbstractSet[bytes], *, prefixes: tuple[bytes, ...] = ()
) -> Mapping[str, str]:
    """Those of these `names`, in lower case, and those whose names begin so; what is no plain text is left out."""
    found = {}
    for name, value in headers.items():
        if name in names or (prefixes and name.startswith(prefixes)):
            text = value.decode("latin-1")
            if len(text) <= LONGEST and text.isascii() and text.isprintable():
                found[name.decode("latin-1")] = text
    return found
