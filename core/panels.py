"""The staff desk's first page, its search and a customer's story. Each app adds what it knows; this knows no app."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core.charts import Bar, Plot

log = logging.getLogger(__name__)
KEPT_SECONDS = 30
"""How long a panel's figures are shown before they are asked for again."""
MOST_EVENTS = 200
CHART_WIDTH, CHART_HEIGHT = 420, 90


@dataclass(frozen=True, slots=True)
class Figure:
    """One number: `link` leads to the rows it counts, `tone` is "", "good" or "bad"."""

    label: str
    value: str
    link: str = ""
    tone: str = ""

    @property
    def is_nothing(self) -> bool:
        """A nought, or no value: what staff may pass over."""
        return not self.value.strip("$0.,— ")


@dataclass(frozen=True, slots=True)
class Panel:
    """A card of the first page."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: a name and where it stands, with whose it is, how much, in which state, and since when."""

    kind: str
    name: str
    link: str
    customer: str = ""
    amount: str = ""
    state: str = ""
    at: datetime | None = None
    is_offer: bool = False
    """Nothing found, but something that may be done about it."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a customer."""

    at: datetime
    kind: str
    text: str
    amount: str = ""
    link: str = ""


Panels = Callable[[], Iterable[Panel]]
_panels: dict[str, tuple[str, Panels, int]] = {}
_searches: list[tuple[str, Callable[[str], Iterable[Found]]]] = []
_stories: list[Callable[[int], Iterable[Event]]] = []


def add_panels(name: str, panels: Panels, *, permission: str, kept: int = KEPT_SECONDS) -> None:
    """Show these panels to staff with that permission, `kept` for some seconds; `name` is unique."""
    _panels[name] = (permission, panels, kept)


def add_search(search: Callable[[str], Iterable[Found]], *, permission: str) -> None:
    """`search` is given what staff with that permission typed; it finds a few, by what an index or a short list has."""
    _searches.append((permission, search))


def add_story(story: Callable[[int], Iterable[Event]]) -> None:
    """`story` tells of a customer, by id, at most `MOST_EVENTS` events, the newest."""
    _stories.append(story)


def panels_for(request: HttpRequest) -> list[Panel]:
    """The panels that this person may see."""
    allowed = {name: make for name, (permission, make, _kept) in _panels.items() if request.user.has_perm(permission)}
    keys = {name: _key(name, request.LANGUAGE_CODE) for name in allowed}
    kept = caches["pages"].get_many(keys.values())
    for name, make in allowed.items():
        if keys[name] not in kept:
            kept[keys[name]] = _made(name, make)
            caches["pages"].set(keys[name], kept[keys[name]], _panels[name][2])
    return [panel for key in keys.values() for panel in kept[key]]


def red_figures() -> Iterator[tuple[Panel, Figure]]:
    """What is wrong now, of all panels, freshly asked for."""
    for panel in all_panels():
        yield from ((panel, figure) for figure in panel.figures if figure.tone == "bad")


def all_panels() -> Iterator[Panel]:
    """Every panel, whoever may see it."""
    for name, (_permission, make, _kept) in _panels.items():
        yield from _made(name, make)


def _made(name: str, make: Panels) -> list[Panel]:
    """An app's panels; where they fail, that is red, and keeps nobody from those of the others."""
    try:
        return list(make())
    except Exception as error:
        log.exception("the panels of %s", name)
        return [
            Panel(_("First page"), [Figure(_("Panels of %(app)s") % {"app": name}, type(error).__name__, "", "bad")])
        ]


def forget() -> None:
    """Ask for all figures again: staff has just changed some."""
    caches["pages"].delete_many([_key(name, language) for name in _panels for language, _title in settings.LANGUAGES])


def _key(name: str, language: str) -> str:
    return f"desk:{name}:{language}"


def find(request: HttpRequest, text: str) -> list[Found]:
    """What all apps find under a name, of what this person may see: each once, and offers where there is nothing."""
    text = text.strip().replace("\0", "")[:200]
    searches = [search for permission, search in _searches if request.user.has_perm(permission)]
    hits = {one.link: one for search in searches for one in search(text)} if text else {}
    found = [one for one in hits.values() if not one.is_offer]
    return found or list(hits.values())


def story_of(customer_id: int) -> list[Event]:
    """What happened to a customer, the newest first."""
    events = [event for story in _stories for event in story(customer_id)]
    return sorted(events, key=lambda event: event.at, reverse=True)[:MOST_EVENTS]


def bars(days: Iterable[tuple[Any, Decimal]], *, unit: str = "$") -> list[Bar]:
    """A bar a day, to the scale of the highest."""
    rows = list(days)
    most = max((amount for _day, amount in rows), default=Decimal(0))
    if most <= 0:
        return []
    plot = Plot(CHART_WIDTH, CHART_HEIGHT, days=len(rows), most=most)
    tall = [plot.tall(amount) for _day, amount in rows]
    return [
        plot.bar(number, top=CHART_HEIGHT - tall[number], tall=tall[number], title=f"{day}: {unit}{amount:,.2f}")
        for number, (day, amount) in enumerate(rows)
    ]


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback: what the first page shows beside the list of apps."""
    text = request.GET.get("q", "")
    found = context["found"] if "found" in context else find(request, text)
    shown = panels_for(request)
    red = [(panel.title, figure) for panel in shown for figure in panel.figures if figure.tone == "bad"]
    context |= {"panels": shown, "red": red, "q": text, "found": found}
    return context
