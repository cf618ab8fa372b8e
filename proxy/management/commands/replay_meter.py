"""`replay_meter [FILE]`: write usage that a gateway could only log (`meter_unwritten`), from its log or stdin.

What the house bears, as its caller got no answer, is charged nothing; a charge of it that was written is taken back.
"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DataError, connection, transaction

from core.clock import database_now
from proxy.protocols import lossless
from proxy.settlement.metered import IN_ONE, ONE
from proxy.settlement.metering import BORNE
from proxy.settlement.reversals import bear

LATER = ("more", "factor", "terms", "left_out", "ended_by")
"""What a log of an earlier version does not have."""
MARK = "meter_unwritten "


class Command(BaseCommand):
    help = "Write usage records that a gateway logged as meter_unwritten; one that is written already is left alone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path | None = options["file"]
        try:
            lines = file.read_text(encoding="utf-8").splitlines() if file else sys.stdin.read().splitlines()
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from None
        found = [line.partition(MARK)[2] for line in lines if MARK in line]
        written = sum(self._write(record) for record in found)
        self.stdout.write(
            f"{len(found)} records, {written} written, {len(found) - written} were there, released or refused"
        )

    def _write(self, record: str) -> bool:
        try:
            said = lossless.load(record.encode())
            values = [said.get(name) if name in LATER else said[name] for name in IN_ONE]
        except (ValueError, LookupError, TypeError):
            raise CommandError(f"not a usage record: {record[:80]}") from None
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(ONE, values)
                is_written = bool(cursor.rowcount)
        except (DataError, UnicodeError) as error:
            self.stderr.write(f"{said['id']} is refused: {error}")
            is_written = False
        if said.get(BORNE):
            bear(said["id"], now=database_now())
        return is_written
