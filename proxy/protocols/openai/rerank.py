"""`POST /v1/rerank` and `/v2/rerank`, in Cohere's and Jina's shape: documents in the order of a query.

https://docs.cohere.com/reference/rerank , https://docs.cohere.com/docs/how-does-cohere-pricing-work : a search is a
query with up to 100 documents, and a document beyond 500 tokens, the query's included, counts for several. Jina counts
the tokens of each document together with the query's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from core.records import value
from proxy.models import Protocol
from proxy.prices.bounds import FRAME_TOKENS, fair_tokens, likely_tokens, wide_bytes
from proxy.prices.catalog import Entry
from proxy.prices.units import INPUT, INPUT_TEXT, SEARCH, TEXT
from proxy.prices.usage import Usage
from proxy.prices.versions import PriceVersion
from proxy.protocols.base import BadRequest, Reported
from proxy.protocols.base import text_of as told_text
from proxy.protocols.counts import tokens
from proxy.protocols.endpoint import Asked, Bounds
from proxy.protocols.members import Members, first, members_of, size
from proxy.protocols.openai.answering import PlainEndpoint, WholeAnswer
from proxy.protocols.openai.asking import PlainCall, fields_of, model_of, refuse_stream, rest_of, text_of
from proxy.protocols.steering import refuse_steering
from proxy.protocols.structure import NotJson

CHUNK_TOKENS, SEARCH_CHUNKS = 500, 100
LEAST_ROOM = 250
"""Tokens of a chunk that are the document's: a longer query is cut."""
PAIR_TOKENS = 8
"""What frames a query with a document."""
MOST_DOCUMENTS = 10_000
READ = frozenset({"model", "query", "documents", "stream"})
DOCUMENT = frozenset({"text", "image"})
_documents = msgspec.json.Decoder(list[msgspec.Raw])


@value
class RerankCall(PlainCall):
    """Tokens of all pairs, and searches: at most, likely, and fairly."""

    tokens: tuple[int, int, int] = (0, 0, 0)
    searches: tuple[int, int, int] = (0, 0, 0)


def read(raw: bytes) -> RerankCall:
    """Raise `BadRequest` unless the body can be held, forwarded and priced."""
    body = fields_of(raw, READ)
    refuse_steering(body.members, READ)
    refuse_stream(body)
    if not text_of(body, "query"):
        raise BadRequest("`query` must be a text.", param="query")
    documents = _texts(body.members)
    query = bytes(body.members["query"])
    found = [_counted(query, documents, count) for count in (_most, _likely, _fair)]
    return RerankCall(
        model=model_of(body),
        rest=rest_of(body),
        tokens=(found[0][0], found[1][0], found[2][0]),
        searches=(found[0][1], found[1][1], found[2][1]),
    )


def _texts(members: Members) -> list[msgspec.Raw]:
    told = members.get("documents")
    try:
        documents = _documents.decode(told) if told is not None else []
    except msgspec.MsgspecError:
        documents = []
    if not 1 <= len(documents) <= MOST_DOCUMENTS:
        raise BadRequest(f"`documents` must be a list of 1 to {MOST_DOCUMENTS} texts.", param="documents")
    for index, document in enumerate(documents):
        _check_text(document, f"documents[{index}]")
    return documents


def _check_text(document: msgspec.Raw, place: str) -> None:
    """Raise `BadRequest` for what is no text, and no object of texts: a picture is counted otherwise."""
    kind = first(document)
    if kind == b'"':
        return
    if kind == b"{":
        try:
            named = members_of(document, DOCUMENT)
        except (NotJson, ValueError):
            named = None
        if named is not None and "image" not in named:
            return
    raise BadRequest(f"`{place}` must be a text, or an object of texts.", param=place)


def _most(text: bytes | msgspec.Raw) -> int:
    return size(msgspec.Raw(text))


def _likely(text: bytes | msgspec.Raw) -> int:
    return likely_tokens(_most(text), wide=wide_bytes(bytes(text)))


def _fair(text: bytes | msgspec.Raw) -> int:
    return fair_tokens(_most(text), wide=wide_bytes(bytes(text)))


def _counted(query: bytes, documents: list[msgspec.Raw], count: Any) -> tuple[int, int]:
    """Tokens of the pairs, and searches, where a text has so many tokens as `count` says."""
    asked = count(query)
    lengths = [count(document) for document in documents]
    room = max(CHUNK_TOKENS - asked, LEAST_ROOM)
    chunks = sum(-(-length // room) for length in lengths)
    pairs = sum(lengths) + (asked + PAIR_TOKENS) * len(documents)
    return pairs, -(-chunks // SEARCH_CHUNKS)


class Ordered(WholeAnswer[RerankCall]):
    path = "/rerank"
    asks = "rerank"
    holds = "results"

    def read_answer(self, call: RerankCall, answer: Mapping[str, Any]) -> Reported:
        count = _searches(answer) if call.counted == SEARCH else _tokens(answer)
        usage = Usage(more={SEARCH: count or 0}) if call.counted == SEARCH else Usage(input_tokens=count or 0)
        return Reported(
            usage if count else None,
            is_odd=count == 0,
            is_whole=bool(count),
            model=told_text(answer, "model"),
            upstream_id=told_text(answer, "id"),
        )


def _searches(answer: Mapping[str, Any]) -> int | None:
    places = (_held(_held(answer, "meta"), "billed_units"), _held(answer, "usage"))
    return _first(tokens(place, "search_units") for place in places)


def _tokens(answer: Mapping[str, Any]) -> int | None:
    """Jina's, Voyage's, or those of Cohere's kin."""
    meta = _held(answer, "meta")
    places = (_held(answer, "usage"), _held(meta, "billed_units"), _held(meta, "tokens"))
    names = ("total_tokens", "prompt_tokens", "input_tokens")
    return _first(tokens(place, name) for place in places for name in names)


def _first(counts: Iterable[int | None]) -> int | None:
    """The first that is above zero; zero where only that is told."""
    told = [count for count in counts if count is not None]
    return next(filter(None, told), 0 if told else None)


def _held(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    held = holder.get(name)
    return held if isinstance(held, dict) else {}


class Rerank(PlainEndpoint[RerankCall]):
    path = "/v1/rerank"
    what = "model that ranks documents"
    needs = (SEARCH, INPUT)
    dialects: Mapping[str, WholeAnswer[RerankCall]] = {Protocol.OPENAI.value: Ordered()}

    def serves(self, price: PriceVersion) -> bool:
        return _counts_searches(price) or (
            not price.priced.isdisjoint((INPUT, INPUT_TEXT)) and not price.writes and price.makes is TEXT
        )

    def read(self, asked: Asked) -> RerankCall:
        return read(asked.body)

    def check(self, call: RerankCall, entry: Entry) -> RerankCall:
        call = super().check(call, entry)
        if _counts_searches(entry.price):
            return replace(call, counted=SEARCH, fair=Usage(more={SEARCH: call.searches[2]}))
        return replace(call, counted=INPUT, fair=Usage(input_tokens=call.tokens[2]))

    def bounds(self, call: RerankCall, entry: Entry) -> Bounds:
        if call.counted == SEARCH:
            return Bounds({SEARCH: call.searches[0]}, {SEARCH: call.searches[1]})
        return Bounds({INPUT: call.tokens[0] + FRAME_TOKENS}, {INPUT: call.tokens[1]})


class RerankAgain(Rerank):
    """The same in the second version of Cohere's API. Which version an upstream speaks its base URL says."""

    path = "/v2/rerank"


def _counts_searches(price: PriceVersion) -> bool:
    return SEARCH in price.priced or price.counts_calls_as(SEARCH)
