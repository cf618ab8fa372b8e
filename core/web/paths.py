"""Which paths are the API's. There every answer is JSON, and slashes too many are forgiven."""

import re

API_ROOTS = frozenset({"v1", "v1beta", "v2", "anthropic", "gemini"})
SLASHES = re.compile("//+")


def is_api(path: str) -> bool:
    return path.startswith("/") and path.split("/", 2)[1] in API_ROOTS


def plain(path: str) -> str:
    """A path of the API without doubled slashes and one at the end; every other path as it is."""
    found = SLASHES.sub("/", path).rstrip("/")
    return found if is_api(found) else path
