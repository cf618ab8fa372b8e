"""What messages bring beside text: pictures, documents, what tools at the provider found, and references to files.

Pictures and documents are counted, wherever they stand: in messages, in results of tools, in documents. A block that
we do not know is text by its bytes, unless it holds a source. https://docs.claude.com/en/api/messages
"""

import re

import msgspec

from proxy.prices.bounds import Material, wide_bytes
from proxy.protocols.anthropic.messages.asked.tools import check_definition
from proxy.protocols.base import BadRequest
from proxy.protocols.members import first, size
from proxy.protocols.reading import Fields

MESSAGE = frozenset({"role", "content"})
BLOCK = frozenset({"type", "source", "content", "file_id", "tool"})
SOURCE = frozenset({"type", "media_type", "data", "url", "file_id", "content"})
TOOL_CHANGE = frozenset({"type", "definition"})
TEXT_BLOCKS = frozenset(
    {
        *("text", "thinking", "redacted_thinking", "tool_use", "mcp_tool_use", "search_result", "compaction"),
        *("tool_reference", "tool_removal", "mcp_tool_listing", "fallback", "server_tool_use"),
    }
)
"""Blocks whose tokens are in their bytes."""
PICTURES = ("image/",)
DOCUMENTS = ("application/pdf", "text/")
MOST_SOURCES = 5_000
"""Providers take some hundred pictures, and each costs a look."""
ESCAPED_LETTER = re.compile(rb"\\u00[4-7]", re.IGNORECASE)
"""How a name may be spelt so that no search finds it."""


class Content:
    """Counts what it is given; `continues` where results of a provider's tools are among it."""

    def __init__(self) -> None:
        self.images = self.files = self.data_bytes = self.sources = 0
        self.continues = False

    def messages(self, body: Fields) -> None:
        """Raise `BadRequest` for what nobody could count."""
        messages = body.items("messages")
        if not messages:
            raise BadRequest("`messages` must be a list of at least one message.", param="messages")
        for index, raw in enumerate(messages):
            message = Fields(raw, known=MESSAGE, place=f"messages[{index}]")
            if not isinstance(message.value("role"), str):
                raise BadRequest(f"`{message.place}.role` must be a text.", param=f"{message.place}.role")
            self.blocks(message, "content")

    def blocks(self, holder: Fields, name: str) -> None:
        """A text, or a list of blocks."""
        raw = holder.get(name)
        if raw is None or first(raw) == b'"':
            return
        place = f"{holder.place}.{name}" if holder.place else name
        if first(raw) != b"[":
            raise BadRequest(f"`{place}` must be a text or a list of blocks.", param=place)
        for number, item in enumerate(holder.items(name)):
            self._block(item, f"{place}[{number}]")

    def _block(self, raw: msgspec.Raw, place: str) -> None:
        block = Fields(raw, known=BLOCK, place=place)
        kind = block.value("type")
        if not isinstance(kind, str):
            raise BadRequest(f"`{place}.type` must be a text.", param=f"{place}.type")
        if kind in TEXT_BLOCKS:
            self.continues = self.continues or kind == "server_tool_use"
        elif kind in ("image", "document"):
            self._source(block, kind)
        elif kind == "tool_result":
            self.blocks(block, "content")
        elif kind == "tool_addition":
            self._tool_addition(block)
        else:
            self._other(raw, kind, place)

    def _source(self, block: Fields, kind: str) -> None:
        held, place = block.get("source"), f"{block.place}.source"
        if held is None or first(held) != b"{":
            raise BadRequest(f"`{place}` must be an object.", param=place)
        source = Fields(held, known=SOURCE, place=place)
        way, said = source.value("type"), source.value("media_type")
        if source.get("file_id") is not None:
            raise _unknown_file(f"{place}.file_id")
        self.sources += 1
        if self.sources > MOST_SOURCES:
            raise BadRequest(f"`messages` may hold at most {MOST_SOURCES} pictures and documents.", param="messages")
        if kind == "document" and way == "text":
            return
        if kind == "document" and way == "content":
            self.blocks(source, "content")
            return
        if way not in ("base64", "url"):
            raise BadRequest(f"`{place}.type` may be base64 or url here.", param=f"{place}.type")
        if way == "base64":
            types = PICTURES if kind == "image" else DOCUMENTS
            if not isinstance(said, str) or not said.strip().lower().startswith(types):
                words = f"`{place}.media_type` must be that of a picture or of a document."
                raise BadRequest(words, param=f"{place}.media_type")
            data = source.get("data")
            self.data_bytes += size(data) if data is not None and bytes(data).isascii() else 0
        self.images, self.files = self.images + (kind == "image"), self.files + (kind == "document")

    @staticmethod
    def _tool_addition(block: Fields) -> None:
        """A tool that comes in the midst of the messages: one that runs at the provider is none that we count."""
        held, place = block.get("tool"), f"{block.place}.tool"
        if held is None or first(held) != b"{":
            raise BadRequest(f"`{place}` must be an object.", param=place)
        tool = Fields(held, known=TOOL_CHANGE, place=place)
        if (definition := tool.get("definition")) is not None:
            check_definition(definition, place=f"{place}.definition")

    def _other(self, raw: msgspec.Raw, kind: str, place: str) -> None:
        """Results of tools at the provider, and blocks that are newer than this list."""
        text = bytes(raw)
        self.continues = self.continues or kind.endswith("_tool_result")
        if b'"file_id"' in text or kind == "container_upload":
            raise _unknown_file(f"{place}.file_id")
        if ESCAPED_LETTER.search(text):
            raise BadRequest(f"`{place}` cannot be read: write its letters as they are.", param=place)
        self.files += text.count(b'"source"')


def material_of(raw: bytes, content: Content, *, tools: bool, more: int) -> Material:
    """What is to be counted; `more` are bytes that the provider adds."""
    return Material(
        text_bytes=len(raw) - content.data_bytes + more,
        wide=wide_bytes(raw),
        images=content.images,
        files=content.files,
        tools=tools,
    )


def _unknown_file(place: str) -> BadRequest:
    return BadRequest(f"`{place}` is not on offer here: send the data.", param=place)
