"""State machines: the states a row may have, which lead to which, and the one way from one to the next.

A model with a `State` has its table as `MACHINE`; `docs/states.md` shows them all. SQL that moves many rows at once
keeps to the same table, and a test compares the two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet, TextChoices
from django.db.models.signals import pre_save


@dataclass(frozen=True, slots=True)
class Machine:
    """`moves` names, for each state that a row may come to, the states it may come from.

    A row is made in one of `starts`, and may stay for good in one of `ends`, even if something may still move it on.
    Raises `ValueError` for a table that is not complete.
    """

    name: str
    states: type[TextChoices]
    moves: Mapping[str, tuple[str, ...]]
    starts: tuple[str, ...]
    ends: tuple[str, ...]

    def __post_init__(self) -> None:
        known = set(self.states.values)
        if strangers := {*self.starts, *self.ends, *self.moves, *(s for s, _to in self.pairs())} - known:
            raise ValueError(f"{self.name} has no state {', '.join(sorted(strangers))}")
        if lost := known - self._spread(self.starts, self.pairs()):
            raise ValueError(f"nothing of {self.name} leads to {', '.join(sorted(lost))}")
        if stuck := known - self._spread(self.ends, [(to, start) for start, to in self.pairs()]):
            raise ValueError(f"{self.name} never ends from {', '.join(sorted(stuck))}")

    def pairs(self) -> list[tuple[str, str]]:
        """Every move, as where from and where to, in the order of the states."""
        return [(s, to) for s in self.states.values for to in self.states.values if self.allows(s, to)]

    def allows(self, start: str, to: str) -> bool:
        """Whether a row may go from `start` to `to`."""
        return start in self.moves.get(to, ())

    @staticmethod
    def _spread(begin: tuple[str, ...], pairs: list[tuple[str, str]]) -> set[str]:
        found, before = set(begin), 0
        while len(found) > before:
            before = len(found)
            found |= {to for start, to in pairs if start in found}
        return {str(state) for state in found}


def machine_of(model: type[Model]) -> Machine:
    """A model's table."""
    machine: Machine = model.MACHINE  # type: ignore[attr-defined]
    return machine


def move(row: Model, *, to: str, error: Callable[[Any], Exception], **fields: object) -> None:
    """Change a row's state by compare-and-set, and `fields` with it, in the database and in `row`.

    Raises what `error` makes of the row, and writes nothing, if its state does not lead to `to`.
    """
    # Whoever follows what is saved, as the desk's audit does, hears of this too.
    pre_save.send(sender=type(row), instance=row, raw=False, using=row._state.db, update_fields=None)
    if not move_all(type(row)._base_manager.filter(pk=row.pk), to=to, **fields):
        raise error(row)
    for name, value in {"state": to, **fields}.items():
        setattr(row, name, value)


def move_all(rows: QuerySet[Any], *, to: str, **fields: object) -> int:
    """Move those of `rows` whose state leads to `to`, and write `fields` with it; return how many."""
    return rows.filter(state__in=machine_of(rows.model).moves[to]).update(state=to, **fields)
