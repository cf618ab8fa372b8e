"""A bill comes in: its file is read whole, then stored piece by piece, and takes the place of what it covers.

No transaction is open while the file is read, and none is long: an old snapshot makes hot wallets slower. A bill that
was stored in part stays `waiting`, is compared with nothing, and begins anew when its file comes again.
"""

import zlib
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, BinaryIO, cast
from zoneinfo import ZoneInfo, available_timezones

from django.db import IntegrityError, connection, transaction

from accounts.models import User
from core import states
from proxy.bills.formats.known import FORMATS
from proxy.bills.reading import COLUMNS, PIECE, BillError, Read, read, sha256_of
from proxy.models import Upstream, UpstreamBill, UpstreamBillLine

State = UpstreamBill.State
LINES_AT_ONCE = 20_000
MOST_DAYS = 400
LIVE = (State.READ, State.COMPARED)


def add(
    file: BinaryIO,
    *,
    upstream: Upstream,
    first: date,
    last: date,
    code: str = "",
    zone: str = "UTC",
    tolerance: Decimal | None = None,
    share: Decimal | None = None,
    name: str = "",
    by: User | None = None,
    keeps: bool = False,
) -> UpstreamBill:
    """The row of a file's bill of the days `first` to `last`: a new one, or that of the same file, days and zone.

    With `keeps` the file is kept until a task reads it. Raises `BillError` for what no bill could be.
    """
    if last < first or (last - first).days >= MOST_DAYS:
        raise BillError(f"the days go from the first to the last, {MOST_DAYS} at most")
    if zone not in available_timezones():
        raise BillError(f"there is no zone {zone[:40]!r}")
    if code and code not in FORMATS:
        raise BillError(f"there is no format {code[:40]!r}")
    whose = {"upstream": upstream, "sha256": sha256_of(file), "first": first, "last": last, "zone": zone}
    told = {"format": code, "tolerance": tolerance, "share": share}
    with transaction.atomic():
        raw = _packed(file) if keeps else None
        live = UpstreamBill.objects.filter(**whose, state__in=(State.WAITING, *LIVE)).first()
        if live is not None:
            UpstreamBill.objects.filter(pk=live.pk).update(tolerance=tolerance, share=share)
            # A command that died leaves one waiting without its file.
            UpstreamBill.objects.filter(pk=live.pk, state=State.WAITING, raw=None).update(raw=raw)
            live.refresh_from_db()
            return live
        try:
            with transaction.atomic():
                return UpstreamBill.objects.create(**whose, **told, name=name[:200], added_by=by, raw=raw)
        except IntegrityError:
            return UpstreamBill.objects.get(**whose, state__in=(State.WAITING, *LIVE))


def take(bill: UpstreamBill, file: BinaryIO | None = None) -> None:
    """Read a waiting bill's file, or the one that was kept, and store its lines; one process at a time.

    Raises `BillError`, and the bill is refused then with what is wrong.
    """
    if bill.state != State.WAITING:
        return
    try:
        with TemporaryFile() as spool:
            with nullcontext(file) if file is not None else _unpacked(bill) as opened:
                days = {"first": bill.first, "last": bill.last}
                found = read(opened, spool, **days, zone=ZoneInfo(bill.zone), code=bill.format)
            if found.currency not in ("USD", bill.upstream.currency):
                raise BillError(f"it is in {found.currency}: {bill.upstream} is paid in {bill.upstream.currency}")
            _refuse_overlap(bill, found.format.code)
            _store(bill, found)
    except BillError as error:
        _move(bill, to=State.REFUSED, problem=str(error)[:10_000], raw=None)
        raise


def note_problem(bill: UpstreamBill, text: str) -> None:
    """Write what keeps a bill from going on; it is gone once the bill does."""
    UpstreamBill.objects.filter(pk=bill.pk).update(problem=str(BillError(text))[:10_000])


def again(bill: UpstreamBill) -> bool:
    """Have a bill that was compared be compared anew; False for one that waits for it anyway, or never will be."""
    return bool(states.move_all(UpstreamBill.objects.filter(pk=bill.pk, state=State.COMPARED), to=State.READ))


def _store(bill: UpstreamBill, found: Read) -> None:
    drop_lines(bill.pk)
    _copy(bill.pk, found.spool)
    with transaction.atomic():
        _lock(bill.upstream_id)
        replaced = _refuse_overlap(bill, found.format.code)
        known = {"format": found.format.code, "currency": found.currency}
        _move(bill, to=State.READ, raw=None, problem="", lines=found.lines, left_out=found.left_out, **known)
        states.move_all(UpstreamBill.objects.filter(pk__in=replaced), to=State.REPLACED)
    for pk in replaced:
        drop_lines(pk)


def drop_lines(bill_id: int) -> None:
    """Take a bill's lines away, some at a time."""
    lines = UpstreamBillLine.objects.filter(bill=bill_id)
    while chosen := list(lines.order_by("number").values_list("pk", flat=True)[:LINES_AT_ONCE]):
        UpstreamBillLine.objects.filter(pk__in=chosen).delete()


def _copy(bill_id: int, spool: IO[bytes]) -> None:
    start = f"{bill_id}\t".encode()
    into = f"COPY proxy_upstreambillline (bill_id, {', '.join(COLUMNS)}) FROM STDIN"
    while lines := list(islice(spool, LINES_AT_ONCE)):
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(into) as copy:
            copy.write(b"".join(start + line for line in lines))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE proxy_upstreambillline")  # else the first plans are for an empty table


def _refuse_overlap(bill: UpstreamBill, code: str) -> list[int]:
    """The live bills of this format that this one covers; raises `BillError` for one that it covers in part."""
    same = UpstreamBill.objects.filter(upstream=bill.upstream, format=code, state__in=LIVE).exclude(pk=bill.pk)
    found = []
    for other in same.filter(first__lte=bill.last, last__gte=bill.first):
        if other.first < bill.first or other.last > bill.last:
            raise BillError(f"there is a bill of {other.first} to {other.last}: take a file that covers all its days")
        found.append(other.pk)
    return found


def _lock(upstream_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"bills:{upstream_id}"])


def _move(bill: UpstreamBill, *, to: str, **fields: object) -> None:
    states.move(bill, to=to, error=lambda row: LookupError(f"{row} is {row.state}"), **fields)


def _packed(file: BinaryIO) -> bytes:
    packer, parts = zlib.compressobj(), []
    while piece := file.read(PIECE):
        parts.append(packer.compress(piece))
    file.seek(0)
    return b"".join((*parts, packer.flush()))


def _unpacked(bill: UpstreamBill) -> BinaryIO:
    """The file that was kept with the bill, on disk."""
    if bill.raw is None:
        raise BillError("its file was not kept: bring it again")
    unpacker, packed = zlib.decompressobj(), bytes(bill.raw)
    file = TemporaryFile()  # noqa: SIM115  # whoever reads it closes it
    while packed:
        file.write(unpacker.decompress(packed, PIECE))
        packed = unpacker.unconsumed_tail
    file.write(unpacker.flush())
    file.seek(0)
    return cast(BinaryIO, file)
