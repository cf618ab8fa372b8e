"""One name for what a bill, an upstream and the catalog call by several: without a snapshot's day, in small letters."""

import re
from collections import defaultdict
from collections.abc import Collection

from proxy.models import Route
from proxy.relay.claims import SNAPSHOT

SNAPSHOT_AT_END = re.compile(f"(?:{SNAPSHOT.pattern})$")


def plain(name: str) -> str:
    """`Claude Opus 4.6` and `claude-opus-4-6-20260210` are `claude-opus-4-6`."""
    name, colon, variant = re.sub(r"[\s_.]+", "-", name.strip().lower()).partition(":")
    return (SNAPSHOT_AT_END.sub("", name) or name) + colon + variant


class Names:
    """The names of the models at some upstreams, as bills may write them."""

    def __init__(self, upstream_ids: Collection[int]) -> None:
        self._models: dict[str, set[int]] = defaultdict(set)
        others: dict[str, set[str]] = defaultdict(set)
        routes = Route.objects.filter(upstream__in=upstream_ids).select_related("model")
        for route in routes:
            known = plain(route.upstream_model)
            self._models[known].add(route.model_id)
            for name in (route.model.slug, route.model.slug.partition("/")[2], route.model.name, _tail(known)):
                others[plain(name)].add(known)
        self._known = {name: next(iter(found)) for name, found in others.items() if name and len(found) == 1}

    def of(self, name: str) -> str:
        """What a model is called here; the name itself, made plain, where nobody knows it."""
        name = plain(name)
        if name in self._models:
            return name
        return self._known.get(name) or self._known.get(_tail(name)) or name

    def models(self, name: str) -> list[int]:
        """The ids of the models that are sold by that name."""
        return sorted(self._models.get(name, ()))


def _tail(name: str) -> str:
    return name.rpartition("/")[2]
