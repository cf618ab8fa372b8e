"""Small records that a request makes by the dozen: read-only for the type checker, plain at run time.

A frozen dataclass pays a call for each of its fields, which together are a fortieth of a request.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(kind: type[Kind]) -> type[Kind]:
    """A dataclass with slots whose fields nobody may set again."""
    return dataclass(slots=True)(kind)
