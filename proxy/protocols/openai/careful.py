"""A chat completion as a caller asks for it: read, and checked to be one that can be held, forwarded and priced.

https://platform.openai.com/docs/api-reference/chat . Members that nothing here reads are never parsed: they go upstream
as they came. `request` reads what is plainly in order faster, and to the same end.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from proxy.estimate import Material, wide_bytes
from proxy.members import (
    Ambiguous,
    Members,
    NotAnObject,
    NotJson,
    check_bytes,
    first,
    joined,
    members_of,
    objects_of,
    size,
    value_of,
)
from proxy.protocols.base import MOST_OUTPUT_TOKENS, BadRequest, Call
from proxy.protocols.openai.fields import LIMITS, OURS, READ, refuse_steering

MOST_CHOICES = 128
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# At these tiers providers bill what the catalog's price says, or less.
PRICED_TIERS = frozenset({"auto", "default", "flex"})
# Tools that run with the caller. A provider's own, such as a web search, are billed by the call.
PRICED_TOOLS = frozenset({"function", "custom"})
# Parts whose tokens are in their bytes. One that is neither these nor known media counts as a file.
TEXT_PARTS = frozenset({"text", "refusal", "thinking", "reasoning"})
DATA_FIELDS = {"image_url": "url", "input_audio": "data", "file": "file_data"}
AUDIO_FORMATS = frozenset({"wav", "mp3"})
MESSAGE = frozenset({"role", "content"})
PART = frozenset({"type", *DATA_FIELDS})
MEDIA = frozenset({*DATA_FIELDS.values(), "detail", "format"})
TOOL = frozenset({"type"})
OPTIONS = frozenset({"include_usage"})
LONGEST_MODEL = 10_000
DATA_URL = re.compile(rb'"data:([a-z]{1,20})')
WEB_URL = re.compile(rb'"https?:')


class Fields:
    """The members of an object that the caller sent, `place` being its path in errors."""

    def __init__(self, raw: bytes | msgspec.Raw, *, known: frozenset[str], place: str) -> None:
        self.place = place
        try:
            self.members: Members = members_of(raw, known)
        except Ambiguous as error:
            name = self._path(error.name)
            words = f"`{name}` stands twice, or in other letters too: servers would not agree which one counts."
            raise BadRequest(words, param=name) from None
        except NotJson as error:
            what = f"`{place}` must be an object" if place else "The body must be a JSON object"
            raise BadRequest(f"{what}: {error}", param=place or None) from None

    def get(self, name: str) -> msgspec.Raw | None:
        """The raw value; None where it is absent or null."""
        raw = self.members.get(name)
        return None if raw is None or (size(raw) == 4 and bytes(raw) == b"null") else raw

    def value(self, name: str, *, most: int = 1_000) -> Any:
        """A short value, parsed; None where it is absent, and `...` where it is too long to be one that we know."""
        raw = self.get(name)
        return None if raw is None else value_of(raw, most=most)

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            raise BadRequest(f"`{self._path(name)}` must be a whole number from {least} to {most}.", param=name)
        return value

    def items(self, name: str) -> list[msgspec.Raw]:
        """A list's items, which have to be objects each; none where it is absent."""
        raw, path = self.get(name), self._path(name)
        if raw is None:
            return []
        try:
            return objects_of(raw)
        except NotAnObject as error:
            place = path if error.index is None else f"{path}[{error.index}]"
            kind = "a list" if error.index is None else "an object"
            raise BadRequest(f"`{place}` must be {kind}.", param=place) from None
        except NotJson as error:
            raise BadRequest(f"`{path}` cannot be read: {error}.", param=path) from None

    def _path(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def read_carefully(raw: bytes) -> Call:
    """Raise `BadRequest` unless the body is a chat completion that can be held, forwarded and priced."""
    try:
        check_bytes(raw)
    except NotJson as error:
        raise BadRequest(f"The body is not JSON that can be read: {error}.") from None
    body = Fields(raw, known=READ, place="")
    model = body.value("model", most=6 * LONGEST_MODEL)
    if not isinstance(model, str) or not model or len(model) > LONGEST_MODEL:
        raise BadRequest("`model` must be a model id such as openai/gpt-4.1-nano.", param="model")
    stream = body.value("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("`stream` must be true or false.", param="stream")
    choices = body.whole("n", least=1, most=MOST_CHOICES)
    limits = {name: body.whole(name, least=1, most=MOST_OUTPUT_TOKENS) for name in LIMITS}
    named = {name: limit for name, limit in limits.items() if limit is not None}
    _refuse_unpriced(body)
    refuse_steering(body.members)
    options, include_usage = _stream_options(body)
    return Call(
        model=model,
        stream=bool(stream),
        output_limit=max(named.values(), default=None),
        choices=choices or 1,
        material=_material(raw, body),
        rest=joined(body.members, without=OURS),
        limit_fields=tuple(named),
        service_tier=body.value("service_tier"),
        stream_options=options,
        include_usage=include_usage,
    )


def _stream_options(body: Fields) -> tuple[bytes, bool]:
    """What the caller sets of the stream beside its usage, as raw members, and whether it asked for the usage."""
    raw = body.get("stream_options")
    if raw is None:
        return b"", False
    if first(raw) != b"{":
        raise BadRequest("`stream_options` must be an object.", param="stream_options")
    options = Fields(raw, known=OPTIONS, place="stream_options")
    asked = options.value("include_usage")
    if asked is not None and not isinstance(asked, bool):
        name = "stream_options.include_usage"
        raise BadRequest(f"`{name}` must be true or false.", param=name)
    return joined(options.members, without=OPTIONS), bool(asked)


def _refuse_unpriced(body: Fields) -> None:
    """What a provider bills beyond the tokens of a model's price cannot be held or charged, so it is not forwarded."""
    tier = body.value("service_tier")
    if tier is not None and (not isinstance(tier, str) or tier not in PRICED_TIERS):
        raise BadRequest("`service_tier` may be auto, default or flex here.", param="service_tier")
    for name in ("web_search_options", "search_parameters"):
        if body.get(name) is not None:
            raise BadRequest(f"`{name}` is not on offer here.", param=name)
    for index, raw in enumerate(body.items("tools")):
        kind = Fields(raw, known=TOOL, place=f"tools[{index}]").value("type")
        if not isinstance(kind, str) or kind not in PRICED_TOOLS:
            raise BadRequest("`tools` may be of the types function and custom here.", param="tools")
    modalities = body.value("modalities")
    if modalities is not None and modalities != ["text"]:
        raise BadRequest('`modalities` may only be ["text"] here.', param="modalities")


def _material(raw: bytes, body: Fields) -> Material:
    images = low_images = audio = files = data_bytes = 0
    is_ascii = raw.isascii()
    for kind, part in _media_parts(body):
        held = part.get(kind)
        data, inside = held, None
        if held is not None and first(held) == b"{":
            inside = Fields(held, known=MEDIA, place=f"{part.place}.{kind}")
            data = inside.get(DATA_FIELDS.get(kind, ""))
        begin = b"" if data is None else bytes(memoryview(data)[:64]).replace(b"\\/", b"/")
        plain = data is not None and begin.startswith(b'"') and (is_ascii or bytes(data).isascii())
        data_url = DATA_URL.match(begin) if plain else None
        counts = size(data) - 2 if data is not None and data_url is not None else 0
        if kind == "image_url" and (data_url is None or data_url.group(1) == b"image"):
            is_low = inside is not None and inside.value("detail") == "low"
            low_images, images = low_images + is_low, images + (not is_low)
        elif kind == "input_audio" and inside is not None and plain and WEB_URL.match(begin) is None:
            counts = size(data) - 2 if data is not None else 0
            style = inside.value("format")
            is_known = bool(counts) and isinstance(style, str) and style in AUDIO_FORMATS
            audio, files = audio + counts * is_known, files + (not is_known)
        else:
            files += 1
        data_bytes += counts
    prediction = body.get("prediction")
    return Material(
        text_bytes=len(raw) - data_bytes,
        wide=0 if is_ascii else wide_bytes(raw),
        images=images,
        low_images=low_images,
        audio=audio,
        files=files,
        tools=bool(body.items("tools") or body.items("functions")),
        predicted=0 if prediction is None else size(prediction),
    )


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
        content = message.get("content")
        if content is None or first(content) == b'"':
            continue
        if first(content) != b"[":
            raise BadRequest(f"`{place}.content` must be a text or a list of parts.", param=f"{place}.content")
        for number, item in enumerate(message.items("content")):
            part = Fields(item, known=PART, place=f"{place}.content[{number}]")
            kind = part.value("type")
            if not isinstance(kind, str):
                raise BadRequest(f"`{place}.content` must hold objects with a `type`.", param=f"{place}.content")
            if kind not in TEXT_PARTS:
                yield kind, part
