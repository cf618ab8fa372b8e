"""A spool that is closed behind a test."""

from collections.abc import Callable, Iterator

import pytest

from proxy.uploads.spool import Spool


@pytest.fixture
def make_spool() -> Iterator[Callable[[], Spool]]:
    made: list[Spool] = []

    def make() -> Spool:
        made.append(Spool(None))
        return made[-1]

    yield make
    for spool in made:
        spool.close()
