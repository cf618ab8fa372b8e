"""`load_catalog FILE.yaml`: upstreams, models and prices as code. Doing it again changes nothing that was right."""

from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proxy.prices.loading import load_catalog
from proxy.prices.written import InvalidCatalog


class Command(BaseCommand):
    help = "Load upstreams, models and prices from a YAML file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        file: Path = options["file"]
        try:
            summary = load_catalog(yaml.safe_load(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise CommandError(f"{file} is not valid YAML: {error}") from None
        except InvalidCatalog as error:
            raise CommandError(f"{file}: {error}. Nothing was changed.") from None
        self.stdout.write(summary)
