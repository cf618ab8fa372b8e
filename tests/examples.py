"""How long tests look for examples that fail."""

import os

TIMES = int(os.environ.get("EXAMPLES_TIMES", "1"))


def examples(count: int) -> int:
    """So many, or EXAMPLES_TIMES as many."""
    return count * TIMES
