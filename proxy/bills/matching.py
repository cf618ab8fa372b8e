"""A bill's lines beside our requests, by the upstream's own id of each."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from proxy.bills.figures import AMOUNT, ZERO, Figures, Key, Kind, Tolerance, kind_of
from proxy.bills.names import Names
from proxy.bills.requests import PAGE, Asked
from proxy.models import UpstreamBill

Judged = list[tuple[Key, Figures, str]]
"""What figures are about, both sides, and the outcome: "" or a discrepancy's kind."""

# A request may be told on the day that it ended on, or on which the upstream wrote its log.
MATCH = """
UPDATE proxy_upstreambillline l SET generation = a.id, ours = a.cost FROM ({asked}) a
WHERE l.bill_id = %(bill)s AND l.request_id = a.request_id AND a.request_id <> ''
 AND l.request_id <> '' AND (l.generation, l.ours) IS DISTINCT FROM (a.id, a.cost)"""
# Lines of one request are one: a log may tell a correction apart, and what is billed twice should be seen.
TOLD = """
SELECT day, model, request_id <> '', generation <> '', is_off,
 sum(theirs), sum(ours), sum(abs(theirs - ours)), count(*),
 (array_agg(CASE WHEN generation <> '' THEN generation ELSE request_id END ORDER BY abs(theirs - ours) DESC))[:10]
FROM (
 SELECT *, abs(theirs - ours) > %(share)s * greatest(theirs, ours) + %(rounding)s * lines AS is_off FROM (
  SELECT l.day, l.model, l.request_id, l.generation, lines,
   coalesce(l.ours, 0) AS ours, coalesce(both_.theirs, 0) AS theirs
  FROM proxy_upstreambillline l CROSS JOIN LATERAL (
   SELECT sum(o.amount) AS theirs, count(*) AS lines, min(o.number) AS first FROM proxy_upstreambillline o
   WHERE o.bill_id = %(bill)s AND o.request_id = l.request_id AND o.request_id <> ''
   HAVING l.request_id <> ''
   UNION ALL SELECT l.amount, 1, l.number WHERE l.request_id = ''
  ) both_
  WHERE l.bill_id = %(bill)s AND l.number > %(after)s AND l.number <= %(upto)s AND both_.first = l.number
 ) one
) judged GROUP BY 1, 2, 3, 4, 5"""
UP_TO = (
    "SELECT max(number) FROM (SELECT number FROM proxy_upstreambillline WHERE bill_id = %(bill)s AND number > %(after)s"
    " ORDER BY number LIMIT %(page)s) p"
)
ASKED = """
SELECT (created_at AT TIME ZONE %(zone)s)::date, (ended_at AT TIME ZONE %(zone)s)::date, upstream_model,
 request_id <> '', is_told, sum(cost), sum(requests), (array_agg(id ORDER BY cost DESC))[:10]
FROM (
 SELECT a.*, a.request_id <> '' AND EXISTS (
  SELECT FROM proxy_upstreambillline l WHERE l.bill_id = %(bill)s AND l.request_id = a.request_id AND l.request_id <> ''
 ) AS is_told FROM ({asked}) a
) asked GROUP BY 1, 2, 3, 4, 5"""


class Sides:
    """What of a model's day is left beside requests that both sides know."""

    def __init__(self) -> None:
        self.unknown, self.unnamed = Figures(), Figures()
        """Lines of requests that we do not know, and lines that name none."""
        self.untold, self.nameless = Figures(), Figures()
        """Requests of ours that the bill does not tell, and those whose id nobody told us."""


class Matching:
    """One bill's. `total` is what all our requests of its days come to."""

    def __init__(self, bill: UpstreamBill, names: Names, asked: Asked, tolerance: Tolerance) -> None:
        self._bill, self._names, self._asked, self._tolerance = bill, names, asked, tolerance
        self._left: dict[Key, Sides] = defaultdict(Sides)
        self._known: dict[Key, Figures] = defaultdict(Figures)
        self._off: list[tuple[Key, Figures]] = []
        self.total = ZERO

    def judged(self) -> Judged:
        """Each model's day. Where either side has something without an id, what is left of it is compared as a sum."""
        for _nothing in self._asked.pages(MATCH, {"bill": self._bill.pk}, days=1):
            pass
        self._read_lines()
        for row in self._asked.pages(ASKED, {"bill": self._bill.pk}):
            self._read_requests(*row)
        agreed: Judged = [(key, figures, "") for key, figures in self._known.items()]
        differing: Judged = [(key, figures, Kind.AMOUNT_DIFFERS) for key, figures in self._off]
        return agreed + differing + [one for key, sides in self._left.items() for one in self._rest(key, sides)]

    def _read_lines(self) -> None:
        off: dict[Key, tuple[Figures, Decimal]] = {}
        for day, model, is_named, is_known, is_off, theirs, ours, gap, count, ids in self._lines():
            key = Key(day, self._names.of(model) if model else "")
            if not is_known:
                _add(self._left[key].unknown if is_named else self._left[key].unnamed, theirs, ZERO, count, ids)
            elif is_off:
                figures, before = off.get(key, (Figures(), ZERO))
                _add(figures, theirs, ours, count, ids)
                off[key] = (figures, before + gap)
            else:
                _add(self._known[key], theirs, ours, count, [])
        for key, (figures, gap) in off.items():
            if gap > self._tolerance.absolute:
                self._off.append((key, figures))
            else:
                _add(self._known[key], figures.theirs[AMOUNT], figures.ours[AMOUNT], figures.requests, [])

    def _lines(self) -> Iterator[Any]:
        """The bill's lines in groups, page by page."""
        share, half = self._tolerance.share, self._tolerance.rounding / 2
        values: dict[str, Any] = {"bill": self._bill.pk, "share": share, "rounding": half, "after": -1, "page": PAGE}
        while True:
            with connection.cursor() as cursor:
                cursor.execute(UP_TO, values)
                [upto] = cursor.fetchone()
                if upto is None:
                    return
                cursor.execute(TOLD, {**values, "upto": upto})
                rows = cursor.fetchall()
            yield from rows
            values["after"] = upto

    def _read_requests(
        self,
        began: date,
        ended: date,
        model: str,
        is_named: bool,
        is_told: bool,
        cost: Decimal,
        count: int,
        ids: list[str],
    ) -> None:
        is_of_these_days = self._asked.first <= began <= self._asked.last
        self.total += cost if is_of_these_days else ZERO
        if is_told or not is_of_these_days or ended > self._asked.last:
            return  # what ends on a day that the bill does not have may be told there
        sides = self._left[Key(began, self._names.of(model))]
        _add(sides.untold if is_named else sides.nameless, ZERO, cost, count, ids)

    def _rest(self, key: Key, sides: Sides) -> Judged:
        if not (sides.unnamed.requests or sides.nameless.ours[AMOUNT]):
            return [
                (key, figures, kind if self._is_beyond(figures) else "")
                for figures, kind in ((sides.unknown, Kind.MISSING_HERE), (sides.untold, Kind.MISSING_THERE))
                if figures.requests or figures.ours[AMOUNT]
            ]
        rest = Figures()
        for one in (sides.unknown, sides.unnamed, sides.untold, sides.nameless):
            _add(rest, one.theirs.get(AMOUNT, ZERO), one.ours[AMOUNT], one.requests, one.ids)
        kind = kind_of(rest.theirs[AMOUNT], rest.ours[AMOUNT])
        return [(key, rest, kind if self._is_beyond(rest) else "")]

    def _is_beyond(self, figures: Figures) -> bool:
        theirs, ours = figures.theirs.get(AMOUNT, ZERO), figures.ours[AMOUNT]
        return self._tolerance.is_beyond(abs(theirs - ours), of=max(theirs, ours), lines=figures.lines)


def _add(figures: Figures, theirs: Decimal, ours: Decimal, count: int, ids: Iterable[str]) -> None:
    figures.theirs[AMOUNT] = figures.theirs.get(AMOUNT, ZERO) + theirs
    figures.ours[AMOUNT] += ours
    figures.requests += count
    figures.add_ids(ids)
