"""What staff type into a search: an id as people read it aloud or copy it cut, an amount, a day."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import or_

from django.db.models import Q

LEAST_CUT = 6
"""Characters of an id, from its beginning or its end, that find it: fewer would find too many."""
MOST_TYPED = 200
MOST_FOUND = 10
"""Of each kind."""
AMOUNT = re.compile(r"-?(?:[$¥]|USD|CNY)?((?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,8})?)(?:USD|CNY)?", re.IGNORECASE)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Typed:
    """`text` is trimmed, its spaces single, without the dots that stand for what was cut off; `joined` has no space.

    `amount` and `day` are set where all that was typed is an amount, a day, or both.
    """

    text: str
    joined: str
    amount: Decimal | None = None
    day: date | None = None

    def names(self, *fields: str) -> Q:
        """Rows of which one of these fields is what was typed, begins with it or ends with it."""
        found: list[Q] = []
        for text in dict.fromkeys((self.text, self.joined)):
            for field in fields:
                found.append(Q(**{field: text}))
                if len(text) >= LEAST_CUT:
                    found += [Q(**{f"{field}__startswith": text}), Q(**{f"{field}__endswith": text})]
        return reduce(or_, found)

    def is_on(self, *fields: str) -> Q:
        """Rows of which one of these times is on the day that was typed (UTC); all where none was."""
        if self.day is None:
            return Q()
        return reduce(or_, (Q(**{f"{field}__date": self.day}) for field in fields))


def read(text: str) -> Typed:
    """Take what was typed apart. Never fails; without NUL, which PostgreSQL refuses."""
    text = " ".join(text[:MOST_TYPED].replace("\0", "").replace("\N{HORIZONTAL ELLIPSIS}", " ").split())
    text = text.removesuffix("...").strip()
    amount, day = None, None
    for word in text.split():
        if DAY.fullmatch(word) and day is None and (read_day := _day(word)) is not None:
            day = read_day
        elif (found := AMOUNT.fullmatch(word)) and amount is None:
            amount = Decimal(found[1].replace(",", ""))
        else:
            return Typed(text, text.replace(" ", ""))
    return Typed(text, text.replace(" ", ""), amount, day)


def _day(word: str) -> date | None:
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None
