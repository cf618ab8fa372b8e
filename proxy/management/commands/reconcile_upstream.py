"""`reconcile_upstream`: compare what an upstream bills, in a file, with what its requests cost by our prices."""

from argparse import ArgumentTypeError
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.books.money import shown
from core.clock import database_now
from proxy.bills import storing, work
from proxy.bills.formats.known import FORMATS
from proxy.bills.reading import BillError
from proxy.bills.requests import NoRate
from proxy.models import Upstream, UpstreamBill, UpstreamBillSum


class Command(BaseCommand):
    help = "Compare an upstream's bill with our requests; differences enter the desk's queue. Exit 1 for a bad file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--upstream", required=True, metavar="NAME")
        parser.add_argument("--from", required=True, type=_day, dest="first", metavar="DAY", help="such as 2026-11-01")
        parser.add_argument("--to", required=True, type=_day, dest="last", metavar="DAY", help="the last day, included")
        parser.add_argument("--format", default="", choices=FORMATS, help="as the file's columns say, unless given")
        parser.add_argument("--zone", default="UTC", help="of days and times without one; UTC unless given")
        parser.add_argument("--tolerance", type=_amount, help="instead of BILL_TOLERANCE, in the bill's currency")
        parser.add_argument("--share", type=_amount, help="instead of BILL_TOLERANCE_SHARE")

    def handle(self, *args: Any, **options: Any) -> None:
        upstream = Upstream.objects.filter(name=options["upstream"]).first()
        if upstream is None:
            raise CommandError(f"There is no upstream {options['upstream']}.")
        told = {name: options[name] for name in ("first", "last", "zone", "tolerance", "share")}
        try:
            with open(options["file"], "rb") as file:
                name = options["file"].rpartition("/")[2]
                bill = storing.add(file, upstream=upstream, code=options["format"], name=name, **told)
                open_ = work.finish(bill, file, now=database_now())
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from None
        except (BillError, NoRate, work.Busy) as error:
            raise CommandError(f"Nothing was taken.\n{error}") from None
        self._tell(bill, open_)

    def _tell(self, bill: UpstreamBill, open_: int) -> None:
        self.stdout.write(
            f"{bill.upstream}, {bill.first} to {bill.last} ({bill.zone}): {FORMATS[bill.format].label},"
            f" {bill.lines} lines, {bill.left_out} left out"
        )
        if bill.theirs is not None and bill.ours is not None:
            sums = {"billed": bill.theirs, "ours": bill.ours, "drift": bill.theirs - bill.ours}
            self.stdout.write(", ".join(f"{name} {shown(sum_, currency=bill.currency)}" for name, sum_ in sums.items()))
        for row in UpstreamBillSum.objects.filter(bill=bill).exclude(outcome="").order_by("day", "model")[:100]:
            about = ", ".join(word for word in (row.model, row.tier, row.part) if word)
            theirs = "-" if row.theirs is None else f"{row.theirs:f}"
            counts = "".join(f", {name} {pair[0]} / {pair[1]}" for name, pair in row.counts.items())
            self.stdout.write(f"{row.day} {about}: {row.outcome}, billed {theirs}, ours {row.ours:f}{counts}")
            if row.generations:
                self.stdout.write(f"  {' '.join(row.generations)}")
        self.stdout.write(f"{bill.differences} differences, {open_} of them open in the queue of discrepancies")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day such as 2026-11-01") from None


def _amount(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not number.is_finite() or not 0 <= number < 1_000_000:
        raise ArgumentTypeError(f"{text!r} is no tolerance")
    return number
