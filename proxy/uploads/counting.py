"""How long sound is, counted from its frames: `python -I counting.py DESCRIPTOR OFFSET SIZE`, one JSON text to stdout.

A process of its own, that imports nothing of the project and knows none of its secrets: what reads strangers' files in
C may crash, loop or be taken over, and can do no more than say a wrong length. It opens nothing: no other file, and no
address that a playlist names.
"""

import contextlib
import io
import json
import os
import random
import resource
import sys
import wave

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

CONTAINERS = "mp3,wav,flac,ogg,matroska,webm,mov,mp4,m4a,aac,mpeg"
CPU_SECONDS, MEMORY_BYTES = 20, 1_500_000_000
AAC_SAMPLES, MOST_AAC_SAMPLES = 1_024, 2_048
"""Of a frame, as told and with its band doubled."""
MOST_VORBIS_SAMPLES = 4_096
MOST_FLAC_SAMPLES = 65_536
OVERHEAD, OVERHEAD_BYTES = 0.1, 16_384
"""How much of a file may be heads and tables, and no sound: a share, and bytes beside it."""
OPUS_FRAMES = {0: 0.010, 1: 0.020, 2: 0.040, 3: 0.060}
MP3_RATES = (44_100, 48_000, 32_000)
BY_BYTES = ("pcm_", "adpcm_")
TRIED = 1 / 16
"""How many of the packets are decoded: some hold many frames, and a decoder hears them all."""
SPARE, LARGER = 1.01, 1.1
MOST_FRAME_BYTES, MOST_LOSSLESS_BYTES = 8_192, 131_072
"""A packet beyond that hides frames, and might take a decoder minutes: aac's own most is 6,144 of eight channels."""
BROKEN = 0.05
"""How much of what is decoded may be broken, by bytes, as at the end of a recording that was cut."""


class Window:
    """Bytes of an open file as a file of their own; its place is its own too."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor, self._offset, self._size = descriptor, offset, size
        self._at = 0

    def read(self, most: int) -> bytes:
        data = os.pread(self._descriptor, min(most, self._size - self._at), self._offset + self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        start = {0: 0, 1: self._at, 2: self._size}[whence]
        self._at = max(0, min(start + offset, self._size))
        return self._at

    def tell(self) -> int:
        return self._at


def opus(head: bytes) -> float:
    """Seconds of a packet: RFC 6716, 3.1."""
    if not head:
        return 0.0
    config, code = head[0] >> 3, head[0] & 3
    if config < 12:
        one = OPUS_FRAMES[config % 4]
    elif config < 16:
        one = OPUS_FRAMES[config % 2]
    else:
        one = 0.0025 * (1 << config % 4)
    return one * ((1, 2, 2)[code] if code < 3 else (head[1] & 63 if len(head) > 1 else 0))


def mpeg(head: bytes) -> float:
    """Seconds of a frame of MPEG audio, by its head; 0 of what is none."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0.0
    version, layer, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3
    if version == 1 or layer == 0 or rate == 3:
        return 0.0
    samples = 384 if layer == 3 else (576 if layer == 1 and version != 3 else 1_152)
    return samples / (MP3_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version])


def flac(head: bytes) -> int:
    """Samples of a frame, at most."""
    if len(head) < 5 or head[0] != 0xFF or head[1] & 0xFC != 0xF8:
        return 0
    code = head[2] >> 4
    if code == 1:
        return 192
    if 2 <= code <= 5:
        return 576 << (code - 2)
    if code >= 8:
        return 256 << (code - 8)
    # Told behind the frame's number, whose first byte says by its leading ones how many it has.
    at = 4 + max(1, 8 - (~head[4] & 0xFF).bit_length())
    told = head[at : at + code - 5]
    return int.from_bytes(told, "big") + 1 if code in (6, 7) and len(told) == code - 5 else MOST_FLAC_SAMPLES


class Track:
    """One of a file's: `fair` as it is, `most` as long as it may be, whatever its container says."""

    def __init__(self, stream: AudioStream) -> None:
        self.fair = self.most = 0.0
        self.size = 0
        self._is_known = True
        self._context = stream.codec_context
        self._context.thread_count = 1
        self._largest = self._tried = self._broken = 0
        """Bytes: of a packet that was decoded, of all of them, and of those that failed."""
        self._codec = stream.codec_context.name
        self._most_bytes = MOST_LOSSLESS_BYTES if self._codec == "flac" else MOST_FRAME_BYTES
        if self._codec.startswith(BY_BYTES):
            self._most_bytes = sys.maxsize
        self._rate = stream.codec_context.sample_rate or 0
        self._is_plain = stream.codec_context.profile == "LC"
        base = stream.time_base
        self._base = base.numerator / base.denominator if base else 0.0
        self._first: float | None = None
        self._last = 0.0

    def add(self, packet: "Packet[Stream]") -> None:
        self.size += packet.size
        told = max(0.0, (packet.duration or 0) * self._base)
        least, most = self._by_frame(packet)
        self.fair += max(told, least) if least is not None else told
        longest = max(told, most if most is not None else told)
        self.most += longest
        if packet.pts is not None:
            at = packet.pts * self._base
            self._first = at if self._first is None else min(self._first, at)
            self._last = max(self._last, at + told)
        if self._is_known and (packet.size > self._largest * LARGER or random.random() < TRIED):  # noqa: S311
            self._try(packet, longest)

    def _try(self, packet: "Packet[Stream]", longest: float) -> None:
        """Every packet that is larger than those before, and some: who hides frames cannot know in which."""
        if self._codec == "opus":
            return
        if packet.size > self._most_bytes:
            self._is_known = False
            return
        self._largest = max(self._largest, packet.size)
        self._tried += packet.size
        try:
            heard = sum(frame.samples / frame.sample_rate for frame in self._context.decode(packet))
        except av.FFmpegError:
            self._broken += packet.size
            return
        self._is_known = heard <= longest * SPARE + 0.001

    def _by_frame(self, packet: "Packet[Stream]") -> tuple[float | None, float | None]:
        """Seconds of a packet, at least and at most; None where its codec does not tell."""
        codec, rate = self._codec, self._rate
        if codec == "opus":
            seconds = opus(bytes(memoryview(packet)[:2]))
            return seconds, seconds
        if codec in ("mp3", "mp2", "mp1", "mp3float", "mp2float", "mp1float"):
            seconds = mpeg(bytes(memoryview(packet)[:4]))
            return seconds, seconds
        if codec.startswith(BY_BYTES):
            return None, None
        if not rate:
            self._is_known = False
        elif codec == "aac":
            return AAC_SAMPLES / rate, (AAC_SAMPLES if self._is_plain else MOST_AAC_SAMPLES) / rate
        elif codec == "vorbis":
            return None, MOST_VORBIS_SAMPLES / rate
        elif codec == "flac":
            return None, flac(bytes(memoryview(packet)[:16])) / rate
        else:
            self._is_known = False
        return None, None

    @property
    def is_counted(self) -> bool:
        return self._is_known and self._broken <= self._tried * BROKEN

    @property
    def longest(self) -> float:
        span = self._last - self._first if self._first is not None else 0.0
        return max(self.most, self.fair, span)


def count(descriptor: int, offset: int, size: int) -> dict[str, object]:
    """Seconds of the longest track: fair, at most, and whether nothing was left uncounted."""
    tracks: dict[int, Track] = {}
    is_whole, seen = False, 0
    # Whatever a demuxer says is wrong ends the count; what was counted until then stands.
    with contextlib.suppress(Exception):
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
        with av.open(Window(descriptor, offset, size), mode="r", options=options) as container:
            tracks = {stream.index: Track(stream) for stream in container.streams.audio}
            for packet in container.demux():
                seen += packet.size
                if packet.size and (track := tracks.get(packet.stream.index)) is not None:
                    track.add(packet)
            is_whole = True
    longest = max(tracks.values(), key=lambda track: track.longest, default=None)
    most = longest.longest if longest is not None else 0.0
    if longest is not None and size - seen > OVERHEAD_BYTES + size * OVERHEAD:
        # What no packet holds may be sound to another reader: a head may say where the sound ends.
        most += (size - seen) * most / max(1, longest.size)
    return {
        "seconds": round(max((track.fair for track in tracks.values()), default=0.0), 3),
        "most": round(most, 3),
        "is_whole": is_whole and bool(tracks) and all(track.is_counted for track in tracks.values()),
    }


def warm_up() -> None:
    """`av` imports parts of itself with the first file that it opens."""
    with wave.open(first := io.BytesIO(), "wb") as sound:
        sound.setparams((1, 2, 8_000, 0, "NONE", ""))
        sound.writeframes(bytes(1_600))
    with av.open(io.BytesIO(first.getvalue()), mode="r") as container:
        for _packet in container.demux(*container.streams.audio):
            pass


def limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most, most) if hard == resource.RLIM_INFINITY else (min(most, hard), hard))


if __name__ == "__main__":
    limit(resource.RLIMIT_CPU, CPU_SECONDS)
    limit(resource.RLIMIT_AS, MEMORY_BYTES)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    warm_up()
    limit(resource.RLIMIT_NOFILE, 0)
    sys.stdout.write(json.dumps(count(*map(int, sys.argv[1:]))))
