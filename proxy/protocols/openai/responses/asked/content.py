"""What the input brings beside text: pictures, documents and sound, which are counted, and what it refers to.

They stand in messages and in what tools gave back. An item or a part that we do not know is text by its bytes, unless
it holds an address or data. https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

import re

import msgspec

from proxy.prices.bounds import Material, wide_bytes
from proxy.protocols.base import BadRequest
from proxy.protocols.members import first, size
from proxy.protocols.openai.chat.asked.media import (
    AUDIO,
    AUDIO_FORMATS,
    DOCUMENT,
    MESSAGE_MEDIA,
    MOST_PARTS,
    begin_of,
    unit_of,
)
from proxy.protocols.reading import Fields

MESSAGE, REFERENCE = "message", "item_reference"
GIVEN_BACK = frozenset({"function_call_output", "custom_tool_call_output"})
"""Items whose `output` is a text or a list of parts."""
WITH_TOOLS = frozenset({"additional_tools", "tool_search_output"})
COMPACTION = "compaction_trigger"
TEXT_ITEMS = frozenset(
    {
        *("function_call", "custom_tool_call", "reasoning", "compaction", COMPACTION, "configuration_update"),
        *("local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output", "apply_patch_call"),
        *("apply_patch_call_output", "computer_call", "web_search_call", "file_search_call", "code_interpreter_call"),
        *("mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response", "tool_search_call"),
        *("program", "program_output"),
    }
)
"""Items whose tokens are in their bytes."""
SEALED, DRAWN = "encrypted_content", "result"
SAYING = {"reasoning": (SEALED, "content"), "compaction": (SEALED,)}
"""Items that say nothing without one of these members: an account looks them up by their ids."""
TEXT_PART = re.compile(r"(?:(?:input|output|summary|reasoning)_)?text|refusal")
PICTURES = frozenset({"input_image", "computer_screenshot"})
FILE = "input_file"
HELD = frozenset({"image_url", "file_data", "file_url", "file_id", AUDIO})
"""Members of a part that hold data, or say where it is."""
HOLDS = {
    **dict.fromkeys(PICTURES, frozenset({"image_url"})),
    FILE: frozenset({"file_data", "file_url"}),
    AUDIO: frozenset({AUDIO}),
}
BESIDE = frozenset(MESSAGE_MEDIA)
"""Members of a message that servers take for media."""
CONTAINER = frozenset({"container_id"})
ITEM = CONTAINER | BESIDE | {SEALED, "type", "role", "id", "content", "output", "tools", "result", "environment"}
PART = frozenset({"type", "detail", "filename", *HELD})
SOUND = frozenset({"data", "format"})
KEPT = re.compile(rb'"(file_ids?|container_id|container|vector_store_ids?)"\s*:')
"""A member that refers to what an account keeps; inside of a text its quotes are escaped."""
MEDIA = re.compile(rb'"(?:image_url|image|file_url|file_data|source|b64_json|url)"\s*:')
APART = re.compile(rb'"(?:input_audio|audio|audio_url|input_video|video|video_url)"\s*:')
ESCAPED_LETTER = re.compile(rb"\\u00[4-7]", re.IGNORECASE)
"""How a name may be spelt so that no search finds it."""


class Content:
    """Counts what it is given."""

    def __init__(self, *, is_ascii: bool) -> None:
        self.images = self.low_images = self.audio = self.sounds = self.films = self.files = self.data_bytes = 0
        self.units = set[str]()
        self.references: list[str] = []
        self.unsaid: list[str] = []
        """Ids of items that an account looks up, where it keeps what it made."""
        self.kinds = set[str]()
        self.is_any = False
        self.tools: list[Fields] = []
        """Items that bring tools."""
        self._is_ascii = is_ascii
        self._parts = 0

    def input(self, body: Fields) -> None:
        """A text, or a list of items; raises `BadRequest` for what nobody could count."""
        raw = body.get("input")
        self.is_any = raw is not None and size(raw) > 2
        if raw is None or first(raw) == b'"':
            return
        if first(raw) != b"[":
            raise BadRequest("`input` must be a text or a list of items.", param="input")
        for index, item in enumerate(body.items("input")):
            self._item(item, f"input[{index}]")
        self.is_any = bool(self.kinds)

    def _item(self, raw: msgspec.Raw, place: str) -> None:
        item = Fields(raw, known=ITEM, place=place)
        kind = item.value("type")
        if kind is None:
            kind = MESSAGE if item.get("role") is not None else REFERENCE
        if not isinstance(kind, str):
            raise BadRequest(f"`{place}.type` must be a text.", param=f"{place}.type")
        self.kinds.add(kind)
        if kind == MESSAGE:
            _refuse_held(item, BESIDE)
            self._content(item, "content")
        elif kind in GIVEN_BACK:
            self._content(item, "output")
        elif kind == REFERENCE:
            self._reference(item)
        elif kind in WITH_TOOLS:
            self.tools.append(item)
        elif kind in TEXT_ITEMS:
            _refuse_held(item, CONTAINER)
            if kind in SAYING and not any(_says(item, name) for name in SAYING[kind]):
                self._name(item, self.unsaid)
            if "environment" in item.members and (where := item.inside("environment", known=CONTAINER)) is not None:
                _refuse_held(where, CONTAINER)
        elif kind == "image_generation_call":
            self.images += 1
            self.data_bytes += self._plain(item.get(DRAWN))
            if not _says(item, DRAWN):
                self._name(item, self.references)
        elif kind == "computer_call_output" and (output := item.get("output")) is not None:
            self._part(output, f"{place}.output")
        else:
            self._other(raw, place)

    @staticmethod
    def _name(item: Fields, names: list[str]) -> None:
        named = item.value("id")
        if isinstance(named, str):
            names.append(named)
        elif named is not None:
            raise BadRequest(f"`{item.place}.id` must be a short text.", param=f"{item.place}.id")

    def _reference(self, item: Fields) -> None:
        named = item.value("id")
        if not isinstance(named, str):
            raise BadRequest(f"`{item.place}` must have a `type`, a `role` or an `id`.", param=f"{item.place}.type")
        self.references.append(named)

    def _content(self, holder: Fields, name: str) -> None:
        """A text, or a list of parts."""
        raw, place = holder.get(name), f"{holder.place}.{name}"
        if raw is None or first(raw) == b'"':
            return
        if first(raw) != b"[":
            raise BadRequest(f"`{place}` must be a text or a list of parts.", param=place)
        for number, part in enumerate(holder.items(name)):
            self._part(part, f"{place}[{number}]")

    def _part(self, raw: msgspec.Raw, place: str) -> None:
        part = Fields(raw, known=PART, place=place)
        kind = part.value("type")
        if not isinstance(kind, str):
            raise BadRequest(f"`{place}.type` must be a text.", param=f"{place}.type")
        if TEXT_PART.fullmatch(kind):
            _refuse_held(part, HELD)
            return
        if kind not in HOLDS:
            self._other(raw, place)
            return
        _refuse_held(part, HELD - HOLDS[kind])
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise BadRequest(f"`input` may hold at most {MOST_PARTS} pictures and documents.", param="input")
        if kind == AUDIO:
            self._sound(part)
        else:
            self._picture_or_file(part, kind)

    def _picture_or_file(self, part: Fields, kind: str) -> None:
        """A picture or a document, or sound or a film in its stead."""
        names = HOLDS[kind]
        for name in names:
            if (held := part.get(name)) is not None and first(held) != b'"':
                raise BadRequest(f"`{part.place}.{name}` must be a text.", param=f"{part.place}.{name}")
        begins = [begin_of(part.get(name)) for name in names]
        unit = next((found for begin in begins if (found := unit_of(begin, part, place=part.place))), None)
        if unit is not None:
            self.units.add(unit)
            self.sounds, self.films = self.sounds + (unit == AUDIO), self.films + (unit != AUDIO)
        elif kind == FILE or any(DOCUMENT.match(begin.removeprefix("data:")) for begin in begins):
            self.files += 1
        elif part.value("detail") == "low":
            self.low_images += 1
        else:
            self.images += 1
        self.data_bytes += sum(
            self._plain(part.get(name))
            for name, begin in zip(names, begins, strict=True)
            if begin.startswith("data:") or name == "file_data"
        )

    def _sound(self, part: Fields) -> None:
        inside = part.inside(AUDIO, known=SOUND)
        place = f"{part.place}.{AUDIO}"
        if inside is None:
            raise BadRequest(f"`{place}` must be an object.", param=place)
        self.units.add(AUDIO)
        data = inside.get("data")
        if inside.value("format") in AUDIO_FORMATS and data is not None and first(data) == b'"':
            count = self._plain(data)
            self.audio += count
            self.data_bytes += count
        else:
            self.sounds += 1

    def _other(self, raw: msgspec.Raw, place: str) -> None:
        """What is newer than this list."""
        _refuse_kept(raw, place)
        text = bytes(raw)
        if ESCAPED_LETTER.search(text):
            raise BadRequest(f"`{place}` cannot be read: write its letters as they are.", param=place)
        if APART.search(text):
            raise BadRequest(f"`{place}` may hold no sound and no film here.", param=place)
        self.files += len(MEDIA.findall(text))

    def _plain(self, data: msgspec.Raw | None) -> int:
        """Bytes of data that are no text: of base64 and the like."""
        return size(data) - 2 if data is not None and (self._is_ascii or bytes(data).isascii()) else 0


def material_of(raw: bytes, content: Content, *, tools: bool, more: int) -> Material:
    """What is to be counted; `more` are bytes that the provider adds."""
    return Material(
        text_bytes=len(raw) - content.data_bytes + more,
        wide=wide_bytes(raw),
        images=content.images,
        low_images=content.low_images,
        audio=content.audio,
        sounds=content.sounds,
        films=content.films,
        files=content.files,
        tools=tools,
    )


def _says(item: Fields, name: str) -> bool:
    """Whether it has more than nothing there: `""`, `[]`."""
    held = item.get(name)
    return held is not None and size(held) > 2


def _refuse_held(holder: Fields, names: frozenset[str]) -> None:
    for name in holder.members.keys() & names:
        if holder.get(name) is not None:
            raise BadRequest(f"`{holder.place}.{name}` is not on offer here.", param=f"{holder.place}.{name}")


def _refuse_kept(raw: msgspec.Raw, place: str) -> None:
    if (found := KEPT.search(raw)) is not None:
        name = f"{place}.{found[1].decode()}"
        raise BadRequest(f"`{name}` is not on offer here.", param=name)
