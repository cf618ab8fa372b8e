"""What the parts of a message are beside text: pictures and documents, which are counted, and what is sold apart.

Audio and video cost a multiple of a text's tokens, so whatever way they come in by (a part of their own, a data URL or
an address of another part, a declared type), they need a price of their own. A part that we do not know is refused:
nobody could tell what it costs.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import msgspec
import orjson

from proxy.prices.bounds import Material, wide_bytes
from proxy.protocols.base import BadRequest
from proxy.protocols.members import first, size
from proxy.protocols.reading import Fields

AUDIO, VIDEO = "input_audio", "input_video"
# Parts whose tokens are in their bytes.
TEXT_PARTS = frozenset({"text", "refusal", "thinking", "reasoning"})
DATA_FIELDS = {"image_url": "url", "input_audio": "data", "file": "file_data"}
"""The parts that we know beside, each with the member that holds its data or its address."""
APART = {AUDIO: AUDIO, "audio_url": AUDIO, "audio": AUDIO, "video_url": VIDEO, "input_video": VIDEO, "video": VIDEO}
AUDIO_FORMATS = ("wav", "mp3")
WEB = ("http:", "https:")
OTHERS = frozenset({"media", "document", "image", "input_image", "input_file", "file_url", "file_data", "image_embeds"})
MEDIA = frozenset({*DATA_FIELDS, *APART, *OTHERS})
"""Names under which servers look for media in a part."""
ADDRESSES = ("file_url", "url", "uri")
TYPES = ("format", "mime_type", "media_type", "content_type")
HELD = frozenset({*DATA_FIELDS.values(), *ADDRESSES, *TYPES, "detail", "file_id", "filename"})
MESSAGE_MEDIA = ("audio", "audios", "images", "video", "videos", "files", "file_ids", "attachments")
MESSAGE = frozenset({"role", "content", *MESSAGE_MEDIA})
PART = frozenset({"type", "file_id", *MEDIA})
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
DOCUMENT = re.compile(
    r"(?:text/|application/(?:pdf|json|xml|rtf|msword|x-(?:pdf|tex|yaml|javascript)|javascript|typescript"
    r"|vnd\.(?:openxmlformats|ms-(?:excel|powerpoint|word)|oasis\.opendocument)))"
)
SUFFIX = re.compile(
    r"\.(?:(?P<input_audio>mp3|wave?|m4[ab]|aac|og[ga]|opus|flac|aif[fc]?|wma|amr|midi?|mka|weba|ac3|au|caf|pcm)"
    r"|(?P<input_video>mp4|m4v|mov|avi|mkv|webm|mp[egv]|mpeg|m2v|ogv|wmv|flv|3gpp?|3g2|m2ts|m3u8|f4v|asf|vob))[./ ]*$",
    re.IGNORECASE,
)
FILMS = re.compile(r"(?:^|\.)(?:youtube\.com|youtube-nocookie\.com|youtu\.be|vimeo\.com)$")
SCHEME = re.compile(r"([a-z][a-z0-9+.-]{1,20}):")
LONGEST_ADDRESS = 8_192
UNREADABLE = "unreadable:"
MOST_PARTS = 5_000
"""Beside text. Providers take some thousand pictures at most, and each costs a look."""
MOST_CUT = 13
"""Bytes of an escape, or of two, or of a character, that a cut may leave behind."""


def read_material(raw: bytes, body: Fields) -> tuple[Material, tuple[str, ...]]:
    """What is to be counted, and the units beside tokens of text and pictures that a price must name."""
    images = low_images = audio = sounds = films = files = data_bytes = 0
    units = set[str]()
    is_ascii = raw.isascii()
    for number, (kind, part) in enumerate(_media_parts(body)):
        if number == MOST_PARTS:
            raise BadRequest(f"`messages` may hold at most {MOST_PARTS} pictures and documents.", param="messages")
        place = f"{part.place}.{kind}"
        inside, data = _held(part, kind, place=place)
        begin = begin_of(data)
        unit = APART.get(kind) or unit_of(begin, inside, place=place)
        plain = size(data) - 2 if data is not None and (is_ascii or bytes(data).isascii()) else 0
        counts = plain if begin.startswith("data:") or (kind == AUDIO and not begin.startswith(WEB)) else 0
        if unit is not None:
            units.add(unit)
        if kind == AUDIO and inside is not None and counts and inside.value("format") in AUDIO_FORMATS:
            audio += counts
        elif kind == "image_url" and unit is None and not DOCUMENT.match(begin.removeprefix("data:")):
            is_low = inside is not None and inside.value("detail") == "low"
            low_images, images = low_images + is_low, images + (not is_low)
        elif unit is not None:
            sounds, films = sounds + (unit == AUDIO), films + (unit == VIDEO)
        else:
            files += 1
        data_bytes += counts
    material = Material(
        text_bytes=len(raw) - data_bytes,
        wide=0 if is_ascii else wide_bytes(raw),
        images=images,
        low_images=low_images,
        audio=audio,
        sounds=sounds,
        films=films,
        files=files,
        tools=bool(body.items("tools") or body.items("functions")),
        predicted=_predicted(body),
    )
    return material, tuple(sorted(units))


def _predicted(body: Fields) -> int:
    """Bytes of the predicted output, which is text."""
    raw = body.get("prediction")
    if raw is None:
        return 0
    prediction = Fields(raw, known=frozenset({"type", "content"}), place="prediction")
    for kind, part in _parts(prediction):
        raise BadRequest(f"`{part.place}` must be a text, not {kind[:100]}.", param=part.place)
    return size(raw)


def _media_parts(body: Fields) -> Iterator[tuple[str, Fields]]:
    """The parts of the messages that are more than text, each with its type."""
    messages = body.items("messages")
    if not messages:
        raise BadRequest("`messages` must be a list of at least one message.", param="messages")
    for index, raw in enumerate(messages):
        place = f"messages[{index}]"
        message = Fields(raw, known=MESSAGE, place=place)
        role = message.value("role")
        if not isinstance(role, str) or role not in ROLES:
            raise BadRequest(f"`{place}.role` must be one of {', '.join(sorted(ROLES))}.", param=f"{place}.role")
        for name in MESSAGE_MEDIA:
            if message.get(name) is not None:
                raise BadRequest(f"`{place}.{name}` is not on offer here.", param=f"{place}.{name}")
        yield from _parts(message)


def _parts(holder: Fields) -> Iterator[tuple[str, Fields]]:
    """The parts of its content that are more than text."""
    content = holder.get("content")
    if content is None or first(content) == b'"':
        return
    place = f"{holder.place}.content"
    if first(content) != b"[":
        raise BadRequest(f"`{place}` must be a text or a list of parts.", param=place)
    for number, item in enumerate(holder.items("content")):
        part = Fields(item, known=PART, place=f"{place}[{number}]")
        kind = part.value("type")
        if not isinstance(kind, str):
            raise BadRequest(f"`{place}` must hold objects with a `type`.", param=place)
        if kind not in TEXT_PARTS and kind not in DATA_FIELDS and kind not in APART:
            words = f"`{part.place}` may be of the types text, {', '.join(DATA_FIELDS)} here, not {kind[:100]}."
            raise BadRequest(words, param=f"{part.place}.type")
        for name in part.members:
            if (name == "file_id" or (name in MEDIA and name != kind)) and part.get(name) is not None:
                raise BadRequest(f"`{part.place}.{name}` is not on offer here.", param=f"{part.place}.{name}")
        if kind not in TEXT_PARTS:
            yield kind, part


def _held(part: Fields, kind: str, *, place: str) -> tuple[Fields | None, msgspec.Raw | None]:
    """What a part holds: its members where it is an object, and the text that is data or an address."""
    held = part.get(kind)
    if held is None or first(held) == b'"':
        return None, held
    if first(held) != b"{":
        raise BadRequest(f"`{place}` must be an object.", param=place)
    inside = Fields(held, known=HELD, place=place)
    if inside.get("file_id") is not None:
        raise BadRequest(f"`{place}.file_id` is not on offer here: send the data.", param=f"{place}.file_id")
    return inside, inside.get(DATA_FIELDS.get(kind, "url"))


def unit_of(begin: str, inside: Fields | None, *, place: str) -> str | None:
    """The unit of audio or video in a picture's or a document's stead; raises `BadRequest` for what nobody can tell."""
    found = [_unit_at(begin, place=place)]
    if inside is not None:
        found += [_unit_at(begin_of(held), place=place) for name in ADDRESSES if (held := inside.get(name)) is not None]
        found += [_unit_of_data(begin_of(held)) for held in inside.members.values()]
        found += [_unit_of_type(said, place=place) for name in TYPES if (said := inside.value(name)) is not None]
        name = inside.value("filename")
        found.append(_unit_of_name(name if isinstance(name, str) else ""))
    return next((unit for unit in found if unit is not None), None)


def unit_at(address: str, *, place: str) -> str | None:
    """The same of an address alone, or of data that stands in its stead."""
    return _unit_at(_address(address), place=place)


def _unit_at(begin: str, *, place: str) -> str | None:
    if begin.startswith("data:"):
        return _unit_of_type(begin.removeprefix("data:").partition(",")[0] or ";", place=place)
    scheme = SCHEME.match(begin)
    if scheme is None:
        return None
    if scheme[1] not in ("http", "https"):
        raise BadRequest(f"`{place}` may be data, or be at an http or https address.", param=place)
    try:
        address = urlsplit(begin)
        host = address.hostname or ""
    except ValueError:
        raise BadRequest(f"`{place}` has an address that cannot be read.", param=place) from None
    return VIDEO if FILMS.search(host.rstrip(".")) else _unit_of_name(unquote(address.path))


def _unit_of_data(begin: str) -> str | None:
    """Of any member: one that we do not know somebody else may."""
    return AUDIO if begin.startswith("data:audio/") else VIDEO if begin.startswith("data:video/") else None


def _unit_of_type(said: object, *, place: str) -> str | None:
    """By a declared type, `image/png`, as it stands in a data URL too."""
    text = said.strip().lower() if isinstance(said, str) else "?"
    if "/" not in text and ";" not in text and text != "?":
        return _unit_of_name(f".{text}")
    for unit, family in ((AUDIO, "audio/"), (VIDEO, "video/")):
        if text.startswith(family):
            return unit
    if not text.startswith("image/") and not DOCUMENT.match(text):
        raise BadRequest(f"`{place}` may be of the type of a picture or a document.", param=place)
    return None


def _unit_of_name(name: str) -> str | None:
    found = (SUFFIX.search(piece) for piece in name[-LONGEST_ADDRESS:].split(";"))
    return next((match.lastgroup for match in found if match is not None), None)


def begin_of(raw: msgspec.Raw | None) -> str:
    """How a text begins once it is read, in small letters and without what servers leave out of an address."""
    if raw is None:
        return ""
    text = bytes(memoryview(raw)[: LONGEST_ADDRESS + 1])
    if len(text) < size(raw):
        text = text[: text.find(b",") if text[:20].lower().startswith(b'"data:') and b"," in text else LONGEST_ADDRESS]
        for cut in range(MOST_CUT):
            try:
                return _address(orjson.loads(text[: len(text) - cut] + b'"'))
            except orjson.JSONDecodeError:
                continue
    try:
        return _address(orjson.loads(text))
    except orjson.JSONDecodeError:
        return UNREADABLE


def _address(value: object) -> str:
    return re.sub(r"[\x00-\x20]+", "", value).lower() if isinstance(value, str) else UNREADABLE
