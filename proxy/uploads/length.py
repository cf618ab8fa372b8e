"""The length of uploaded sound, as `counting.py` finds it in a process of its own."""

import logging
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import orjson

from core.records import value
from proxy.uploads.spool import Stored

log = logging.getLogger(__name__)

COUNTER = Path(__file__).with_name("counting.py")
WALL_SECONDS = 30.0
LONGEST_WORD = 1_000
MP3_RATE, LEAST_RATE = 1_000, 10
"""Bytes a second, at least: of mp3 (8 kbit/s), and of what may hold silence in a few bytes, as flac and opus do."""
FAIR_RATE = 4_000
"""Of speech, mostly."""
MP3_STARTS = (b"ID3", b"\xff\xf2", b"\xff\xf3", b"\xff\xfa", b"\xff\xfb", b"\xff\xe3")
MILLISECOND = Decimal("0.001")


@value
class Length:
    """Seconds: as counted, or fairly guessed from the bytes where `is_counted` is false; and at most."""

    seconds: Decimal
    most: Decimal
    is_counted: bool


def length_of(sound: Stored) -> Length:
    """Blocking. What cannot be counted is bounded by its bytes. Raises `OSError` where the request is over."""
    told = _counted(sound)
    seconds, most = (Decimal(str(told.get(name, 0))) for name in ("seconds", "most"))
    if told.get("is_whole") is True:
        return Length(seconds, max(seconds, most), is_counted=True)
    slowest = MP3_RATE if sound.read(0, 3).startswith(MP3_STARTS) else LEAST_RATE
    by_bytes = (Decimal(len(sound)) / slowest).quantize(MILLISECOND)
    guessed = min(by_bytes, (Decimal(len(sound)) / FAIR_RATE).quantize(MILLISECOND))
    return Length(max(seconds, guessed), max(by_bytes, most, seconds), is_counted=False)


def _counted(sound: Stored) -> dict[str, object]:
    """What the process says; nothing where it failed, or took too long."""
    descriptor = sound.spool.duplicate()
    try:
        command = [sys.executable, "-I", str(COUNTER), str(descriptor), str(sound.offset), str(len(sound))]
        with subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            env={},
            cwd="/",
        ) as process:
            try:
                process.wait(WALL_SECONDS)
                words = process.stdout.read(LONGEST_WORD) if process.stdout is not None else b""
            except subprocess.TimeoutExpired:
                process.kill()
                return {}
    finally:
        os.close(descriptor)
    try:
        told = orjson.loads(words)
    except orjson.JSONDecodeError:
        log.warning("sound could not be counted: its counter ended with %s", process.returncode)
        return {}
    return told if isinstance(told, dict) and all(_is_sane(told.get(name)) for name in ("seconds", "most")) else {}


def _is_sane(seconds: object) -> bool:
    return isinstance(seconds, float) and 0 <= seconds < 10**9
