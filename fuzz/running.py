"""Find the targets, and load one with Django's settings in place."""

import importlib
import os
import pkgutil
from collections.abc import Sequence
from typing import Protocol, cast

from fuzz import targets


class Target(Protocol):
    """A file of `fuzz/targets`."""

    SEEDS: Sequence[bytes]

    def check(self, data: bytes) -> None:
        """Raise if something that must hold for any input does not hold for this one."""


def names() -> list[str]:
    """Of those in a folder, with the folder's before it."""
    found = pkgutil.walk_packages(targets.__path__, f"{targets.__name__}.")
    return sorted(module.name.removeprefix(f"{targets.__name__}.") for module in found if not module.ispkg)


def load(name: str) -> Target:
    for variable in ("SECRET_KEY", "FIELD_ENCRYPTION_KEY"):
        os.environ.setdefault(variable, "fuzz")
    os.environ.setdefault("DEBUG", "True")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chuizi.settings")
    import django

    django.setup()
    return cast(Target, importlib.import_module(f"fuzz.targets.{name}"))
