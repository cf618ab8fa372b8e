"""Which endpoint a path belongs to: the one table that the application asks."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.records import value
from proxy.kept.keeping import Keeper
from proxy.models import Protocol
from proxy.prices.catalog import Destination
from proxy.protocols.anthropic import listing as anthropic
from proxy.protocols.anthropic.messages.endpoint import CountTokens, Messages
from proxy.protocols.endpoint import Dialect, Endpoint, Sending
from proxy.protocols.gemini import listing as gemini
from proxy.protocols.gemini.count import CountTokens as CountGemini
from proxy.protocols.gemini.embed import BatchEmbed, Embed
from proxy.protocols.gemini.generate.endpoint import Generate, StreamGenerate
from proxy.protocols.openai import listing as openai
from proxy.protocols.openai.audio.speech import Speech
from proxy.protocols.openai.audio.transcripts import Transcriptions, Translations
from proxy.protocols.openai.chat.endpoint import ChatCompletions
from proxy.protocols.openai.completions import Completions
from proxy.protocols.openai.embeddings import Embeddings
from proxy.protocols.openai.images.edits import ImageEdits
from proxy.protocols.openai.images.generations import ImageGenerations
from proxy.protocols.openai.moderations import Moderations
from proxy.protocols.openai.rerank import Rerank, RerankAgain
from proxy.protocols.openai.responses.endpoint import Compact, InputTokens, Responses
from proxy.protocols.openai.responses.kept import CancelledResponse, DeletedResponse, InputItems, KeptResponse
from proxy.protocols.translate.joining import join

PART = re.compile(r"\{(\w+(?:\.\.\.)?)\}")
NO_PLACE: Mapping[str, str] = {}
LISTINGS: Mapping[str, Callable[[Destination], Sending]] = {
    Protocol.OPENAI: openai.listing,
    Protocol.ANTHROPIC: anthropic.listing,
    Protocol.GEMINI: gemini.listing,
}
"""What asks an upstream of a protocol for its models."""


@value
class Route:
    """The endpoints of one path by method, and the named parts of the path."""

    endpoints: Mapping[str, Endpoint[Any]]
    place: Mapping[str, str]

    @property
    def methods(self) -> str:
        """As `Allow` has them."""
        return ", ".join(sorted(self.endpoints))

    @property
    def any(self) -> Endpoint[Any]:
        """One of them, for how an error looks there."""
        return next(iter(self.endpoints.values()))


class Routes:
    """Paths written out are found at once; those with parts that vary are tried in their order."""

    def __init__(self, endpoints: Iterable[Endpoint[Any]]) -> None:
        self._exact: dict[str, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Endpoint[Any]]]] = []
        self._by_path: dict[str, dict[str, Endpoint[Any]]] = {}
        for endpoint in endpoints:
            self.add(endpoint)

    def add(self, endpoint: Endpoint[Any]) -> None:
        """Raise `ValueError` where its path and a method of it are taken."""
        for root in endpoint.roots:
            for path in (endpoint.path, *endpoint.also):
                self._add_at(root + path, endpoint)

    def _add_at(self, path: str, endpoint: Endpoint[Any]) -> None:
        known = self._by_path.get(path)
        if known is None:
            known = self._by_path[path] = {}
            if "{" in path:
                self._patterns.append((_pattern(path), known))
            else:
                self._exact[path] = Route(known, NO_PLACE)
        if not known.keys().isdisjoint(endpoint.methods):
            raise ValueError(f"{path} is taken")
        known.update(dict.fromkeys(endpoint.methods, endpoint))

    def find(self, path: str) -> Route | None:
        route = self._exact.get(path)
        if route is None:
            for pattern, endpoints in self._patterns:
                if (match := pattern.fullmatch(path)) is not None:
                    return Route(endpoints, match.groupdict())
        return route

    def keeper(self, path: str, protocol: str) -> Keeper | None:
        """How to ask upstreams of a protocol about what an endpoint's requests left there."""
        endpoint = self._by_path.get(path, {}).get("POST")
        dialect = endpoint.dialects.get(protocol) if endpoint is not None else None
        return dialect.keeper if dialect is not None else None

    def shown(self) -> Iterable[tuple[str, Mapping[str, Endpoint[Any]]]]:
        """The paths as people are told them, with their endpoints by method."""
        for path, endpoints in self._by_path.items():
            first = next(iter(endpoints.values()))
            if path == first.roots[0] + first.path:
                yield first.shown_path, endpoints

    def spoken(self) -> frozenset[str]:
        """The protocols of upstreams to which some endpoint's requests may go."""
        return frozenset(protocol for dialects in self._dialects() for protocol in dialects)

    def asked(self) -> frozenset[str]:
        """The paths at which upstreams are asked, by the catalog's names."""
        return frozenset(dialect.asks for dialects in self._dialects() for dialect in dialects.values())

    def _dialects(self) -> Iterable[Mapping[str, Dialect[Any]]]:
        return (endpoint.dialects for endpoints in self._by_path.values() for endpoint in endpoints.values())


def _pattern(path: str) -> re.Pattern[str]:
    pieces = enumerate(PART.split(path))
    return re.compile("".join(_part(piece) if at % 2 else re.escape(piece) for at, piece in pieces))


def _part(name: str) -> str:
    return f"(?P<{name.removesuffix('...')}>{'[^/].*' if name.endswith('...') else '[^/:]+'})"


CHAT, MESSAGES, RESPONSES = ChatCompletions(), Messages(), Responses()
join([CHAT, MESSAGES, RESPONSES])
ROUTES = Routes(
    [
        *(
            CHAT,
            Completions(),
            Embeddings(),
            Moderations(),
            Rerank(),
            RerankAgain(),
            Speech(),
            Transcriptions(),
            Translations(),
            ImageGenerations(),
            ImageEdits(),
        ),
        *(RESPONSES, Compact(), InputTokens(RESPONSES)),
        *(KeptResponse(), DeletedResponse(), InputItems(), CancelledResponse()),
        *(MESSAGES, CountTokens(MESSAGES)),
        *(Generate(), StreamGenerate(), CountGemini(), Embed(), BatchEmbed()),
    ]
)
