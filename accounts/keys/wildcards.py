"""Models as a key names them: by id, by bare name, or with wildcards, `anthropic/*` and `*-mini`.

A `*` stands for any letters, none and slashes included; nothing else has a meaning of its own. What lies between is
looked for piece by piece, each as early as it can be, so that a pattern costs a pass over the name whatever is in it.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache


@lru_cache(maxsize=10_000)
def matches(pattern: str, name: str) -> bool:
    """Whether a name is one of those that a pattern stands for."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    last = rest.pop()
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in rest:
        found = name.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def names_of(slug: str) -> frozenset[str]:
    """What a model goes by: its id, and what is left of it after each slash. `x/openai/m` is `openai/m` at `x`."""
    parts = slug.split("/")
    return frozenset("/".join(parts[at:]) for at in range(len(parts)))


class Allowed:
    """The models that a key may use; all, where it names none."""

    __slots__ = ("_names", "_patterns")

    def __init__(self, items: Iterable[str] = ()) -> None:
        items = list(items)
        self._names = frozenset(item for item in items if "*" not in item)
        self._patterns = tuple(item for item in items if "*" in item)

    def __bool__(self) -> bool:
        return bool(self._names or self._patterns)

    def allows(self, names: frozenset[str]) -> bool:
        """Whether it names a model that goes by these names."""
        if not self._patterns and not self._names:
            return True
        return not self._names.isdisjoint(names) or any(
            matches(pattern, name) for pattern in self._patterns for name in names
        )


def covers(own: Sequence[str], item: str) -> bool:
    """Whether a key that names `own` may use every model that `item` stands for.

    A bare name stands for the model at each of its providers, but not the other way round. Of a pattern each `*` has to
    lie within a `*`: what it stands for may be anything.
    """
    names, rest = [item], item
    while "/" in rest and "*" not in rest.partition("/")[0]:
        rest = rest.partition("/")[2]
        names.append(rest)
    return any(matches(outer, name) for outer in own for name in names)
