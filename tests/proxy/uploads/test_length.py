"""The length of sound by its frames, whatever its file says of itself; and what is no sound."""

import io
import math
import struct
from decimal import Decimal
from fractions import Fraction

import av
import pytest

from proxy.uploads.length import length_of
from proxy.uploads.spool import Stored
from tests.uploads import sound

SECONDS, RATE, STEP = 4, 48_000, 960


@pytest.fixture
def stored(make_spool):
    def stored(data: bytes, *, before: bytes = b"another part") -> Stored:
        spool = make_spool()
        spool.write(before + data)
        return Stored(spool, len(before), len(data))

    return stored


def encoded(container: str, codec: str) -> bytes:
    made = io.BytesIO()
    made.name = f"a.{container}"
    with av.open(made, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        wave = struct.pack(f"<{STEP}h", *(int(8_000 * math.sin(2 * math.pi * at / 96)) for at in range(STEP)))
        for at in range(0, RATE * SECONDS, STEP):
            frame = av.AudioFrame(format="s16", layout="mono", samples=STEP)
            frame.planes[0].update(wave)
            frame.sample_rate, frame.pts = RATE, at
            for one in resampler.resample(frame):
                file.mux(stream.encode(one))
        file.mux(stream.encode(None))
    return made.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp3", "mp3"), ("mp4", "aac"), ("webm", "libopus"), ("ogg", "libopus"), ("flac", "flac"), ("wav", "pcm_s16le")],
)
def test_every_format_is_counted(stored, container, codec):
    found = length_of(stored(encoded(container, codec)))
    assert found.is_counted
    assert SECONDS <= found.seconds <= SECONDS + Decimal("0.1")
    assert found.seconds <= found.most <= SECONDS + Decimal("0.2")


def test_an_mp3_is_as_long_as_its_frames_however_short_its_head_says(stored):
    data = bytearray(encoded("mp3", "mp3"))
    at = data.index(b"Info")
    assert struct.unpack_from(">II", data, at + 4)[0] & 1  # its number of frames is told
    struct.pack_into(">I", data, at + 8, 1)
    assert length_of(stored(bytes(data) + bytes(data)[at + 100 :])).seconds > 2 * SECONDS - Decimal("0.2")


def packed(data: bytes, container: str, *, frames: int, tail: bytes) -> bytes:
    """So many frames a packet and what stands behind them, each as long as one of them."""
    made = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(made, "w", format=container) as file:
        stream = source.streams.audio[0]
        all_frames = [bytes(memoryview(one)) for one in source.demux(stream) if one.size]
        target = file.add_stream_from_template(stream)
        for at in range(0, len(all_frames), frames):
            one = av.Packet(b"".join(all_frames[at : at + frames]) + tail)
            one.stream, one.time_base, one.is_keyframe = target, Fraction(1, RATE), True
            one.pts, one.dts, one.duration = 1_024 * at // frames, 1_024 * at // frames, 1_024
            file.mux(one)
    return made.getvalue()


@pytest.mark.parametrize(
    ("frames", "tail"), [(4, b""), (4, b"\xff" * 99), (1, bytes(9_000))], ids=["packed", "broken", "too large"]
)
@pytest.mark.parametrize(("source", "codec", "container"), [("mp4", "aac", "matroska"), ("mp3", "mp3", "mp4")])
def test_frames_that_are_packed_into_one_packet_are_not_taken_for_one(stored, source, codec, container, frames, tail):
    found = length_of(stored(packed(encoded(source, codec), container, frames=frames, tail=tail)))
    assert not found.is_counted
    assert found.most > SECONDS


def test_an_mp4_is_as_long_as_its_frames_however_fast_its_clock(stored):
    data = encoded("mp4", "aac")
    at = data.index(b"mdhd") + 4 + 12
    assert struct.unpack_from(">I", data, at) == (RATE,)
    hasty = data[:at] + struct.pack(">I", 1_000 * RATE) + data[at + 4 :]
    assert length_of(stored(hasty)).most > SECONDS - Decimal("0.2")


def test_a_webm_is_as_long_as_its_packets_however_fast_its_clock(stored):
    data = encoded("webm", "libopus")
    scale = b"\x2a\xd7\xb1\x83"  # TimestampScale, of three bytes
    at = data.index(scale) + len(scale)
    hasty = data[:at] + (1_000).to_bytes(3, "big") + data[at + 3 :]
    assert length_of(stored(hasty)).most > SECONDS - Decimal("0.2")


def test_a_wav_is_held_as_long_as_its_bytes_however_short_its_head_says(stored):
    data = bytearray(sound(SECONDS))
    struct.pack_into("<I", data, data.index(b"data") + 4, 100)
    assert SECONDS - Decimal("0.2") < length_of(stored(bytes(data))).most < SECONDS + Decimal("0.2")


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (b"no sound at all " * 100, 160),
        (b"ID3" + b"\0" * 9_997, 10),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n" + b"#" * 60, 10),
        (b"ffconcat version 1.0\nfile /etc/hostname\n" + b"#" * 60, 10),
        (encoded("mp4", "aac")[:-30_000], None),
    ],
    ids=["text", "mp3", "m3u8", "concat", "broken mp4"],
)
def test_what_cannot_be_counted_is_bounded_by_its_bytes(stored, data, most):
    found = length_of(stored(data))
    assert not found.is_counted
    assert found.most == (len(data) / Decimal(10) if most is None else pytest.approx(most, rel=Decimal("0.01")))
    assert 0 < found.seconds <= found.most


def test_an_empty_wav_is_no_longer_than_it_is(stored):
    found = length_of(stored(sound(0)))
    assert (found.is_counted, found.seconds) == (True, 0) or found.most <= 5
