"""An uploaded form: its parts, and how it is written again for an upstream.

What goes on is what we read: our own boundary, heads and order, so that no server sees other fields than were held.
"""

import re
import secrets
from collections.abc import Iterable

from core.records import value
from proxy.uploads.spool import Stored

UNSAFE = re.compile(r"[^A-Za-z0-9.()+_ -]", re.ASCII)
LONGEST_FILE_NAME = 100
UNKNOWN_KIND = "application/octet-stream"


@value
class Part:
    """`filename` is None of a field that is no file; `kind` is its media type, "" where it names none."""

    name: str
    data: bytes | Stored
    filename: str | None = None
    kind: str = ""

    @property
    def text(self) -> str | None:
        """None of what is no short text."""
        if not isinstance(self.data, bytes) or self.filename is not None:
            return None
        return self.data.decode()

    @property
    def head(self) -> bytes:
        """Names are checked where they are read, and file names lose what could end them."""
        lines = f'Content-Disposition: form-data; name="{self.name}"'
        if self.filename is not None:
            lines += f'; filename="{_safe(self.filename)}"\r\nContent-Type: {self.kind or UNKNOWN_KIND}'
        return f"{lines}\r\n\r\n".encode()


@value
class Form:
    """The parts in their order."""

    parts: tuple[Part, ...] = ()

    def named(self, name: str) -> list[Part]:
        return [part for part in self.parts if part.name == name]


@value
class Written:
    """A form as a request's body, in pieces; `content_type` names its boundary."""

    content_type: str
    pieces: tuple[bytes | Stored, ...]

    def __len__(self) -> int:
        return sum(map(len, self.pieces))


def write(parts: Iterable[Part]) -> Written:
    boundary = secrets.token_hex(20)
    mark = f"--{boundary}\r\n".encode()
    pieces: list[bytes | Stored] = []
    for part in parts:
        pieces += [mark + part.head, part.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Written(f"multipart/form-data; boundary={boundary}", tuple(pieces))


def _safe(filename: str) -> str:
    """Its last part, with its ending, by which upstreams know what it is."""
    last = re.split(r"[/\\]", filename)[-1]
    return UNSAFE.sub("_", last)[-LONGEST_FILE_NAME:] or "file"
