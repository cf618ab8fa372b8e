"""`replay_meter [FILE]`: write usage that a gateway could only log (`meter_unwritten`), from its log or stdin."""

import sys
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from proxy.metering import IN_ONE, ONE

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
        self.stdout.write(f"{len(found)} records, {written} written, {len(found) - written} were there or released")

    def _write(self, record: str) -> int:
        try:
            values = orjson.loads(record)
            values = [values[name] for name in IN_ONE]
        except (orjson.JSONDecodeError, LookupError, TypeError):
            raise CommandError(f"not a usage record: {record[:80]}") from None
        with connection.cursor() as cursor:
            cursor.execute(ONE, values)
            return int(cursor.rowcount)
