"""Bills beside our prices: what differs beyond a tolerance waits for finance in the queue of discrepancies, once.

Doing a bill again changes nothing that was right, and cures what agrees meanwhile.
"""

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction

from billing.books import chart
from billing.books.money import MICRO, charge
from billing.discrepancies import queue
from billing.discrepancies.queue import Difference
from billing.models import Discrepancy
from core import states
from proxy.bills.figures import AMOUNT, ZERO, Figures, Key, Tolerance, kind_of
from proxy.bills.formats.known import FORMATS
from proxy.bills.matching import Judged, Matching
from proxy.bills.names import Names
from proxy.bills.requests import asked_of, upstreams_of
from proxy.bills.sums import compared, shape_of
from proxy.models import UpstreamBill, UpstreamBillSum

log = logging.getLogger(__name__)

SOURCE = "upstreams"
"""Whose differences these are, in the queue."""
STEP = Decimal("0.001")
"""The queue keeps 3 places."""
LONGEST_KEY = 160
MOST_NAMED = 3
"""Requests in a detail; the bill's page has more."""
State = UpstreamBill.State


def compare(bill: UpstreamBill, *, now: datetime) -> int:
    """Compare a bill that was read with the requests of its days; return how many differences are open.

    Raises `proxy.bills.requests.NoRate`, and `LookupError` for a bill that is not there to be compared.
    """
    shape, names = shape_of(bill), Names(upstreams_of(bill.upstream))
    asked = asked_of(bill, now=now)
    tolerance = tolerance_of(bill)
    if shape.has_ids:
        matching = Matching(bill, names, asked, tolerance)
        judged = matching.judged()
        ours = matching.total
        told = frozenset({AMOUNT})
    else:
        judged = [(key, figures, "") for key, figures in compared(bill, shape, names, asked).items()]
        ours = sum((figures.ours[AMOUNT] for _key, figures, _kind in judged), ZERO)
        told = shape.told
    judged, off = _judge(judged, tolerance, told, by_ids=shape.has_ids)
    theirs = sum((figures.theirs.get(AMOUNT, ZERO) for _key, figures, _kind in judged), ZERO)
    by_day: dict[date, list[Difference]] = defaultdict(list)
    for (key, _kind), parts in _together(judged).items():
        by_day[key.day].append(_difference(bill, key, parts, off))
    with transaction.atomic():
        UpstreamBillSum.objects.filter(bill=bill).delete()
        UpstreamBillSum.objects.bulk_create((_row(bill, *one, told=told) for one in judged), batch_size=1000)
        open_ = 0
        for day in _days(bill):
            open_ += len(queue.put(by_day[day], source=SOURCE, day=day, now=now, about=_prefix(bill)).open)
        found = {
            "theirs": charge(theirs) if AMOUNT in told else None,
            "ours": charge(ours) if AMOUNT in told else None,
            "differences": sum(len(one) for one in by_day.values()),
            "compared_at": now,
            "problem": "",
        }
        states.move(bill, to=State.COMPARED, error=lambda row: LookupError(f"{row} is {row.state}"), **found)
    return open_


def tolerance_of(bill: UpstreamBill) -> Tolerance:
    """The bill's own, else the settings'."""
    return Tolerance(
        absolute=settings.BILL_TOLERANCE if bill.tolerance is None else bill.tolerance,
        share=settings.BILL_TOLERANCE_SHARE if bill.share is None else bill.share,
        rounding=FORMATS[bill.format].rounding,
    )


def account_of(row: Discrepancy) -> str:
    """What the upstream takes, on which a difference of money stands."""
    return chart.upstream_expense(row.key.partition(":")[0], row.currency) if row.currency else ""


def _judge(
    judged: Judged, tolerance: Tolerance, told: frozenset[str], *, by_ids: bool
) -> tuple[Judged, dict[Key, list[str]]]:
    """Sums with their outcomes, and the names of the figures that differ; requests have been judged one by one."""
    if by_ids:
        return judged, {}
    off = {key: names for key, figures, _kind in judged if (names := figures.beyond(tolerance, told))}
    return [(key, figures, _kind_of(figures, off[key]) if key in off else "") for key, figures, _ in judged], off


def _kind_of(figures: Figures, off: list[str]) -> str:
    name = off[0]
    return kind_of(figures.theirs.get(name, ZERO), figures.ours[name])


def _together(judged: Judged) -> dict[tuple[Key, str], Judged]:
    """What differs, the parts of one model's day together: they wait as one."""
    found: dict[tuple[Key, str], Judged] = defaultdict(list)
    by_ids = Counter(key for key, _figures, kind in judged if kind and not key.part)
    for key, figures, kind in judged:
        if kind:
            found[key._replace(part=""), kind if by_ids[key] > 1 else ""].append((key, figures, kind))
    return found


def _difference(bill: UpstreamBill, key: Key, parts: Judged, off: dict[Key, list[str]]) -> Difference:
    """One figure differs first; the others, by part, stand in the detail, theirs and ours."""
    name = off.get(parts[0][0], [AMOUNT])[0]
    theirs = sum((figures.theirs.get(name, ZERO) for _key, figures, _kind in parts), ZERO)
    ours = sum((figures.ours[name] for _key, figures, _kind in parts), ZERO)
    kinds = {kind for _key, _figures, kind in parts}
    told = [", ".join(word for word in (key.model, key.tier) if word)]
    told += [
        f"{' '.join(filter(None, (about.part, one)))} {_number(figures.theirs.get(one))} / {_number(figures.ours[one])}"
        for about, figures, _kind in parts
        for one in off.get(about, ())
        if about.part or one != AMOUNT
    ]
    ids = list(dict.fromkeys(one for _key, figures, _kind in parts for one in figures.ids))
    return Difference(
        kind=Discrepancy.Kind(kinds.pop() if len(kinds) == 1 else kind_of(theirs, ours)),
        key=_key(bill, key),
        currency=bill.currency if name == AMOUNT else "",
        theirs=theirs.quantize(STEP),
        ours=ours.quantize(STEP),
        detail="; ".join(filter(None, (", ".join(filter(None, told)), " ".join(ids[:MOST_NAMED])))),
    )


def _number(value: Decimal | None) -> str:
    return f"{(value or ZERO).quantize(MICRO).normalize():f}"


def _prefix(bill: UpstreamBill) -> str:
    return f"{bill.upstream.name}:{bill.format}:"


def _key(bill: UpstreamBill, key: Key) -> str:
    """What a difference is about, the same whenever a bill of the format tells it."""
    text = f"{_prefix(bill)}{key.model}:{key.tier}".rstrip(":")
    if len(text) <= LONGEST_KEY:
        return text
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: LONGEST_KEY - len(mark) - 1]}~{mark}"


def _row(bill: UpstreamBill, key: Key, figures: Figures, kind: str, *, told: Iterable[str]) -> UpstreamBillSum:
    counts = {
        name: [int(figures.theirs.get(name, 0)), int(figures.ours[name])] for name in sorted(told) if name != AMOUNT
    }
    return UpstreamBillSum(
        bill=bill,
        day=key.day,
        model=key.model,
        tier=key.tier,
        part=key.part,
        outcome=kind,
        theirs=charge(figures.theirs[AMOUNT]) if AMOUNT in figures.theirs else None,
        ours=charge(figures.ours[AMOUNT]),
        requests=figures.requests,
        counts=counts,
        generations=figures.ids if kind else [],
    )


def _days(bill: UpstreamBill) -> list[date]:
    return [bill.first + timedelta(days=number) for number in range((bill.last - bill.first).days + 1)]
