"""What of a request its upstream was not sent: tools that were taken out, and hints that its protocol does not know."""

from collections.abc import Mapping, Sequence


def headers(removed: Sequence[str], ignored: Sequence[str] = ()) -> list[tuple[bytes, bytes]]:
    """By which the caller is told."""
    said = ((b"x-chuizi-removed", removed), (b"x-chuizi-ignored", ignored))
    return [(name, ", ".join(fields).encode()) for name, fields in said if fields]


def stored(removed: Sequence[str], ignored: Sequence[str]) -> Mapping[str, Sequence[str]] | None:
    """For the request's row; None where nothing was left out."""
    if not removed and not ignored:
        return None
    return {name: fields for name, fields in (("removed", removed), ("ignored", ignored)) if fields}
