"""What contents bring beside text: pictures, documents, sound and films, in the data or at an address.

A part that we do not know is refused, as nobody could tell what it costs. https://ai.google.dev/api/caching#Part
"""

import re
from urllib.parse import urlsplit

import msgspec

from proxy.prices.bounds import Material, wide_bytes
from proxy.prices.units import INPUT_AUDIO, INPUT_VIDEO
from proxy.protocols.base import BadRequest
from proxy.protocols.gemini.spelled import Spelled
from proxy.protocols.members import first, size

CONTENT = frozenset({"role", "parts"})
DATA, ADDRESS = "inlineData", "fileData"
PART = frozenset(
    {
        *("text", DATA, ADDRESS, "functionCall", "functionResponse", "executableCode", "codeExecutionResult"),
        *("toolCall", "toolResponse", "thought", "thoughtSignature", "videoMetadata", "mediaResolution"),
        *("partMetadata",),
    }
)
FOUND = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
"""What a provider's tools did in an earlier turn."""
RESPONSE = frozenset({"id", "name", "response", "parts", "willContinue", "scheduling"})
INLINE = frozenset({"mimeType", "data", "displayName"})
FILE = frozenset({"mimeType", "fileUri", "displayName"})
COUNTED_SOUND = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/mp3", "audio/mpeg"})
DOCUMENT = re.compile(
    r"(?:text/|application/(?:pdf|json|xml|rtf|x-(?:pdf|tex|yaml|javascript|python)|javascript|typescript"
    r"|vnd\.(?:openxmlformats|ms-(?:excel|powerpoint|word)|oasis\.opendocument)))"
)
FILMS = re.compile(r"(?:^|\.)(?:youtube\.com|youtube-nocookie\.com|youtu\.be|vimeo\.com)$")
KEPT = re.compile(r"/v\d\w*/files/")
STORES = re.compile(r"(?:^|\.)googleapis\.com$")
MOST_MEDIA = 5_000
"""Providers take some thousand pictures, and each costs a look."""
LONGEST_ADDRESS = 8_192


class Content:
    """Counts what it is given; `continues` where results of a provider's tools are among it."""

    def __init__(self) -> None:
        self.images = self.audio = self.sounds = self.films = self.files = self.data_bytes = self.media = 0
        self.continues = False

    def of_request(self, body: Spelled) -> int:
        """Its contents and what stands before them; how many contents there are. What is kept in a cache nobody
        here may name."""
        if body.get("cachedContent") is not None:
            name = body.spelt["cachedContent"]
            raise BadRequest(f"`{name}` is not on offer here.", param=name)
        if (system := body.get("systemInstruction")) is not None:
            self.whole(system, place=body.spelt["systemInstruction"])
        return self.all_of(body, "contents")

    def all_of(self, holder: Spelled, name: str) -> int:
        """A list of objects with parts; how many there are."""
        count = 0
        for content in holder.listed(name, known=CONTENT):
            self.take(content)
            count += 1
        return count

    def take(self, content: Spelled) -> None:
        """An object with parts. Raise `BadRequest` for what nobody could count."""
        role = content.value("role")
        if role is not None and not isinstance(role, str):
            raise BadRequest(f"`{content.place}.role` must be a text.", param=f"{content.place}.role")
        _refuse_unknown(content)
        for part in content.listed("parts", known=PART):
            self._part(part)

    def whole(self, raw: msgspec.Raw, *, place: str) -> None:
        """An object with parts, or a text."""
        if first(raw) == b'"':
            return
        if first(raw) == b"{":
            self.take(Spelled(raw, known=CONTENT, place=place))
            return
        raise BadRequest(f"`{place}` must be an object with `parts`.", param=place)

    @property
    def units(self) -> set[str]:
        """What is sold apart: a film has a sound, which is counted by itself."""
        units = {INPUT_AUDIO} if self.audio or self.sounds or self.films else set[str]()
        return units | {INPUT_VIDEO} if self.films else units

    def material(self, raw: bytes, *, tools: bool, more: int = 0) -> Material:
        """What is to be counted of a body; `more` are bytes that the provider adds."""
        return Material(
            text_bytes=len(raw) - self.data_bytes + more,
            wide=wide_bytes(raw),
            images=self.images,
            audio=self.audio,
            sounds=self.sounds,
            films=self.films,
            files=self.files,
            tools=tools,
        )

    def _part(self, part: Spelled) -> None:
        _refuse_unknown(part)
        self.continues = self.continues or any(part.get(name) is not None for name in FOUND)
        if (held := part.inside(DATA, known=INLINE)) is not None:
            self._data(held)
        if (held := part.inside(ADDRESS, known=FILE)) is not None:
            self._address(held)
        if (held := part.inside("functionResponse", known=RESPONSE)) is not None:
            for found in held.listed("parts", known=PART):
                self._part(found)

    def _data(self, held: Spelled) -> None:
        kind = _kind(held)
        if kind is None:
            raise BadRequest(f"`{held.place}.mimeType` is required.", param=f"{held.place}.mimeType")
        data = held.get("data")
        characters = size(data) - 2 if data is not None and bytes(data).isascii() else 0
        if kind in COUNTED_SOUND and characters:
            self._one_more()
            self.audio += characters
        else:
            self._count(kind, place=held.place)
        self.data_bytes += max(characters, 0)

    def _address(self, held: Spelled) -> None:
        """At the web; what an account keeps, nobody here may name."""
        place = f"{held.place}.fileUri"
        said = held.value("fileUri", most=LONGEST_ADDRESS)
        if not isinstance(said, str):
            raise BadRequest(f"`{place}` must be an address.", param=place)
        try:
            address = urlsplit(said.strip())
            host = (address.hostname or "").rstrip(".")
        except ValueError:
            raise BadRequest(f"`{place}` cannot be read.", param=place) from None
        if address.scheme not in ("http", "https") or STORES.search(host) or KEPT.search(address.path):
            raise BadRequest(f"`{place}` is not on offer here: send the data as `{DATA}`.", param=place)
        if FILMS.search(host):
            self._count("video/*", place=held.place)
            return
        kind = _kind(held)
        if kind is None:
            raise BadRequest(f"`{held.place}.mimeType` is required.", param=f"{held.place}.mimeType")
        self._count(kind, place=held.place)

    def _count(self, kind: str, *, place: str) -> None:
        self._one_more()
        if kind.startswith("image/"):
            self.images += 1
        elif kind.startswith("audio/"):
            self.sounds += 1
        elif kind.startswith("video/"):
            self.films += 1
        elif DOCUMENT.match(kind):
            self.files += 1
        else:
            words = f"`{place}.mimeType` must be that of a picture, a document, sound or a film."
            raise BadRequest(words, param=f"{place}.mimeType")

    def _one_more(self) -> None:
        self.media += 1
        if self.media > MOST_MEDIA:
            raise BadRequest(f"`contents` may hold at most {MOST_MEDIA} pictures and documents.", param="contents")


def _refuse_unknown(held: Spelled) -> None:
    """What is more than a text or a number, and nobody knows."""
    for name in held.unknown:
        if first(held.members[name]) in (b"{", b"["):
            place = f"{held.place}.{name[:100]}"
            raise BadRequest(f"`{place}` is none that is known here.", param=place)


def _kind(held: Spelled) -> str | None:
    said = held.value("mimeType")
    if said is None:
        return None
    if not isinstance(said, str):
        raise BadRequest(f"`{held.place}.mimeType` must be a text.", param=f"{held.place}.mimeType")
    return said.partition(";")[0].strip().lower()
