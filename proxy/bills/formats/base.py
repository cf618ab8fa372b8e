"""What a format of bills is: the columns that it is known by, and how one of its lines is read."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from proxy.bills.lines import BillLine, Cells


@dataclass(frozen=True, slots=True)
class Format:
    """`read` gives None for a line that takes nothing, and raises `BadCell`. `code` has at most 20 characters."""

    code: str
    label: str
    columns: frozenset[str]
    """A file that has them all, and matches no format before it, is of this one."""
    read: Callable[[Cells], BillLine | None]
    rounding: Decimal = Decimal(0)
    """The step that each line is rounded to, where that may add up to something."""
