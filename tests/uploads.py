"""Forms and sound, as callers upload them."""

import io
import wave
from collections.abc import Iterable
from typing import Any

BOUNDARY = "-a-boundary-"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def sound(seconds: float, *, rate: int = 8_000) -> bytes:
    """A wav of silence, one channel of 16 bits."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * int(seconds * rate)))
    return made.getvalue()


def text(name: str, value: str | bytes) -> bytes:
    return part(f'form-data; name="{name}"', value)


def file(name: str, data: bytes, *, filename: str = "a.wav", kind: str = "audio/wav") -> bytes:
    return part(f'form-data; name="{name}"; filename="{filename}"', data, f"Content-Type: {kind}")


def part(disposition: str, data: str | bytes, *lines: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: {disposition}", *lines])
    return head.encode() + b"\r\n\r\n" + (data.encode() if isinstance(data, str) else data)


def form(*parts: bytes) -> bytes:
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--\r\n"


def fields(**said: Any) -> Iterable[bytes]:
    """A part for each, several of a list; `file` and what ends with it are files."""
    for name, value in said.items():
        for one in value if isinstance(value, list) else [value]:
            yield file(name, one) if isinstance(one, bytes) else text(name, str(one))
