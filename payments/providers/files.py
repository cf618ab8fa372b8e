"""A provider's bill as a file: downloaded, and two of a day kept as one."""

import io
import zipfile
from collections.abc import Mapping

import requests

from core.outside import outside
from payments.providers.base import ProviderUnavailable
from payments.providers.sheets import BadStatement

MOST_BYTES = 200_000_000
"""Of a file, packed or not."""


def download(url: str) -> bytes:
    """What stands at an address that a provider has just named; raises `ProviderUnavailable`."""
    try:
        with outside(), requests.get(url, timeout=(3, 30), stream=True, allow_redirects=False) as answer:
            if answer.status_code != 200:
                raise ProviderUnavailable(f"the bill's address answers {answer.status_code}")
            raw = answer.raw.read(MOST_BYTES + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise ProviderUnavailable(f"the bill's address: {type(error).__name__}") from None
    if len(raw) > MOST_BYTES:
        raise BadStatement("the bill is too long")
    return bytes(raw)


def kept(files: Mapping[str, bytes]) -> bytes:
    """Files as they came, in a zip that is the same each time; nothing if all are empty."""
    if not any(files.values()):
        return b""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packing:
        for name, raw in files.items():
            packing.writestr(zipfile.ZipInfo(name), raw)
    return content.getvalue()
