"""What a price may name: every unit in one table, with what follows from it elsewhere.

From here come the rates that a catalog takes, what a unit without a rate costs, bounds at the dearest rate, the lines
of a receipt, labels, the form of a price and the importer's names. docs/prices.md, "Units".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.text import capfirst, format_lazy
from django.utils.translation import gettext_lazy as _

from billing.books.money import ZERO

PER_TOKEN, PER_REQUEST, PER_SECOND = "per_token", "per_request", "per_second"
MILLION, THOUSAND, ONE = Decimal(1_000_000), Decimal(1_000), Decimal(1)
INPUT_SIDE, OUTPUT_SIDE = "input", "output"


@dataclass(frozen=True, slots=True)
class Unit:
    """`name` is the rate's in a catalog, `line` the unit's in a receipt and the API."""

    name: str
    line: str
    label: Any
    """In a receipt: "cached input"."""
    measure: Any
    """For how many its rate is: "per million tokens"."""
    per: Decimal = ONE
    """A rate is for so many."""
    billing: str = PER_REQUEST
    """The way of billing of a price that names it alone."""
    side: str = ""
    """Whether its tokens are input or output; "" for what is no token."""
    asked: str = ""
    """The unit in which a request counts beforehand what may turn out to be of this one."""
    ancestors: tuple[str, ...] = ()
    """Whose rate it has where a price does not name it, the nearest first."""
    is_apart: bool = False
    """Sold apart: a request that asks for it needs a rate for it, or its name in the price's `fallback`."""
    joins: tuple[str, ...] = ()
    """Two units whose tokens it has in common: where a price names both it names this one too."""
    genai: str = ""
    """Its name in genai-prices."""
    genai_per: Decimal = ONE
    """Our rate is theirs through this."""

    @property
    def field(self) -> str:
        """What its rate is called in a form, in the language of the moment."""
        return f"{capfirst(str(self.label))}, {self.measure}" if self.side else str(capfirst(str(self.measure)))

    @property
    def offered(self) -> str:
        """What its rate is called in a list of prices."""
        return str(self.label if self.side else self.measure)

    @property
    def bounding(self) -> str:
        return self.asked or self.name


MODALITIES = {"audio": _("audio"), "image": _("image"), "video": _("video")}
"""What tokens stand for beside text."""
TOKENS = _("per million tokens")


def _tokens(name: str, label: Any, side: str, ancestors: tuple[str, ...] = (), **more: Any) -> Unit:
    more = {"asked": side, **more}
    return Unit(
        name, f"{name}_token", label, TOKENS, MILLION, PER_TOKEN, side=side, ancestors=ancestors, **more,
    )  # fmt: skip


CACHES = {
    "cache_read": (_("cached input"), "cache_read_mtok", "cache_{}_read_mtok"),
    "cache_write": (_("cache write"), "cache_write_mtok", "cache_{}_write_mtok"),
    "cache_write_30m": (_("cache write, 30 minutes"), "", ""),
    "cache_write_1h": (_("cache write, 1 hour"), "cache_write_1h_mtok", "cache_{}_write_1h_mtok"),
    "cache_write_12h": (_("cache write, 12 hours"), "", ""),
}
"""The states of input beside fresh, each with its label and genai-prices' names. Unnamed, a write is for 5 minutes."""


def _states(name: str) -> tuple[str, ...]:
    """A write for a while costs what a write costs, where it has no rate of its own."""
    return ("cache_write",) if name.startswith("cache_write_") else ()


def _cached() -> Iterable[Unit]:
    for name, (label, genai, _genai_of) in CACHES.items():
        yield _tokens(name, label, INPUT_SIDE, (*_states(name), "input_text", "input"), genai=genai)
    for modality, word in MODALITIES.items():
        for name, (label, _genai, genai) in CACHES.items():
            own, states = f"input_{modality}", _states(name)
            yield _tokens(
                f"{name}_{modality}",
                format_lazy("{} ({})", label, word),
                INPUT_SIDE,
                (*(f"{state}_{modality}" for state in states), own, name, *states, "input_text", "input"),
                asked=own,
                joins=(name, own),
                genai=genai.format(modality) if genai else "",
            )


def _counted(name: str, label: Any, measure: Any, per: Decimal = ONE, **more: Any) -> Unit:
    return Unit(name, name, label, measure, per, **{"is_apart": True, **more})


TABLE = (
    _tokens("input", _("input"), INPUT_SIDE, genai="input_mtok"),
    _tokens("input_text", _("text input"), INPUT_SIDE, ("input",), genai="input_text_mtok"),
    _tokens("output", _("output"), OUTPUT_SIDE, genai="output_mtok"),
    _tokens("output_text", _("text output"), OUTPUT_SIDE, ("output",), genai="output_text_mtok"),
    *_cached(),
    _tokens("input_audio", _("audio input"), INPUT_SIDE, ("input",),
            asked="input_audio", is_apart=True, genai="input_audio_mtok"),
    _tokens("input_image", _("image input"), INPUT_SIDE, ("input",), asked="input_image", genai="input_image_mtok"),
    _tokens("input_video", _("video input"), INPUT_SIDE, ("input",),
            asked="input_video", is_apart=True, genai="input_video_mtok"),
    _tokens("output_audio", _("audio output"), OUTPUT_SIDE, ("output",),
            asked="output_audio", is_apart=True, genai="output_audio_mtok"),
    _tokens("output_image", _("image output"), OUTPUT_SIDE, ("output",),
            asked="output_image", is_apart=True, genai="output_image_mtok"),
    _tokens("output_video", _("video output"), OUTPUT_SIDE, ("output",),
            asked="output_video", is_apart=True, genai="output_video_mtok"),
    _tokens("reasoning", _("reasoning"), OUTPUT_SIDE, ("output_text", "output"), genai="output_reasoning_mtok"),
    _tokens("citation", _("citations"), OUTPUT_SIDE, ("output_text", "output"), genai="output_citation_mtok"),
    _counted("request", _("requests"), _("per request"), is_apart=False,
             genai="requests_kcount", genai_per=THOUSAND),
    _counted("second", _("seconds"), _("per second"), billing=PER_SECOND,
             genai="audio_hours", genai_per=Decimal(3_600)),
    _counted("character", _("characters"), _("per million characters"), MILLION, genai="input_mchars"),
    _counted("image", _("images"), _("per image")),
    _counted("search", _("searches of documents"), _("per thousand searches"), THOUSAND,
             genai="rerank_searches_kcount"),
    _counted("web_search", _("web searches"), _("per thousand web searches"), THOUSAND, genai="web_searches_kcount"),
    _counted("file_search", _("file searches"), _("per thousand file searches"), THOUSAND,
             genai="storage_searches_kcount"),
    _counted("second_video", _("seconds of video"), _("per second of video"), billing=PER_SECOND),
    _counted("page", _("pages"), _("per page"), genai="input_document_kpages", genai_per=THOUSAND),
    _counted("code_session", _("code sessions"), _("per code session")),
)  # fmt: skip
UNITS = {unit.name: unit for unit in TABLE}
BY_LINE = {unit.line: unit for unit in TABLE}

INPUT, INPUT_TEXT, OUTPUT, OUTPUT_TEXT = "input", "input_text", "output", "output_text"
CACHE_READ, CACHE_WRITE, CACHE_WRITE_1H = "cache_read", "cache_write", "cache_write_1h"
REASONING, CITATION, REQUEST = "reasoning", "citation", "request"
INPUT_AUDIO, INPUT_IMAGE, INPUT_VIDEO = "input_audio", "input_image", "input_video"
OUTPUT_AUDIO, OUTPUT_IMAGE = "output_audio", "output_image"
WEB_SEARCH, CHARACTER, IMAGE, SEARCH = "web_search", "character", "image", "search"
CODE_SESSION, FILE_SEARCH, SECOND = "code_session", "file_search", "second"
TEXT = (OUTPUT,)
"""What most requests have made."""
TOOLS = frozenset({WEB_SEARCH, FILE_SEARCH, CODE_SESSION})
"""What runs at the provider in the midst of a request, as often as the model's `max_tool_calls` at most."""
CALLS = frozenset({IMAGE, SEARCH})
"""What is counted as requests where a price names nothing but `request`."""
WRITES = frozenset(unit.name for unit in TABLE if unit.name.startswith(CACHE_WRITE))
"""What is written to a cache, of any life."""
LONG_WRITES = frozenset(
    name for name in WRITES if name.startswith(f"{CACHE_WRITE}_") and name[len(CACHE_WRITE) + 1].isdigit()
)
TOKEN_UNITS = frozenset(unit.name for unit in TABLE if unit.side)


@dataclass(frozen=True, slots=True)
class ModelKind:
    """What models are for, and the rates that make sense for them, in the order in which a form asks for them."""

    name: str
    label: Any
    units: tuple[str, ...]


_TEXT = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning")
_TOOLS = ("web_search", "file_search", "code_session", "request")
KINDS = (
    ModelKind("text", _("text only"), (*_TEXT, *_TOOLS)),
    ModelKind(
        "media",
        _("text, sound and pictures"),
        (
            *_TEXT, "input_audio", "cache_read_audio", "output_audio", "input_image", "cache_read_image",
            "output_image", "input_video", "cache_read_video", *_TOOLS,
        ),
    ),
    ModelKind(
        "pictures",
        _("pictures"),
        (
            "image", "input_text", "input_image", "cache_read", "cache_read_image", "output_text", "output_image",
            "request",
        ),
    ),
    ModelKind("sound", _("speech and transcripts"), ("second", "character", "input", "input_audio", "output",
                                                     "output_audio", "request")),
    ModelKind("search", _("embeddings and searches"), ("input", "search", "request")),
    ModelKind("pages", _("documents to read"), ("page", "input", "output", "request")),
    ModelKind("films", _("video"), ("second_video", "input", "output", "input_video", "output_video", "request")),
)  # fmt: skip


def kind_of(priced: Iterable[str]) -> ModelKind:
    """The first kind that has all of these rates, or most of them."""
    known = set(priced)
    return max(KINDS, key=lambda kind: (len(known.intersection(kind.units)), -KINDS.index(kind)))


def names(*, billing: str = "", side: str = "") -> tuple[str, ...]:
    """Names of the units of one way of billing, or of one side of a text, in the table's order."""
    return tuple(unit.name for unit in TABLE if billing in ("", unit.billing) and side in ("", unit.side))


def billing_of(priced: Iterable[str]) -> str:
    """The way of billing of a price with these rates: by tokens, if any is of tokens."""
    found = {UNITS[name].billing for name in priced}
    return next((billing for billing in (PER_TOKEN, PER_SECOND) if billing in found), PER_REQUEST)


def rate_of(rates: Mapping[str, Decimal], name: str) -> Decimal:
    """A unit's rate, or that of its nearest ancestor which has one, or nothing."""
    if (found := rates.get(name)) is not None:
        return found
    for ancestor in UNITS[name].ancestors:
        if (found := rates.get(ancestor)) is not None:
            return found
    return ZERO


def missing_join(priced: Iterable[str]) -> Unit | None:
    """A unit that has to be priced, as two are whose tokens it has in common; None where none is missing."""
    known = frozenset(priced)
    return next(
        (unit for unit in TABLE if unit.joins and known.issuperset(unit.joins) and unit.name not in known), None
    )
