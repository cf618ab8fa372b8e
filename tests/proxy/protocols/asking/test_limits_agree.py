"""Both readers find the same limit, under the same names, or refuse it alike."""

import itertools
from collections.abc import Callable

import orjson
import pytest

from proxy.protocols.base import BadRequest, Call
from proxy.protocols.openai.chat.asked import request
from proxy.protocols.openai.chat.asked.careful import read_carefully
from proxy.protocols.openai.chat.asked.request import read

VALUES = (None, 0, 1, 7, 10_000_000, 10_000_001, -1)


@pytest.mark.parametrize("padding", [1, request.FEW_BYTES])
@pytest.mark.parametrize(("newer", "older"), list(itertools.product(VALUES, VALUES)))
def test_limits_are_read_alike_in_short_and_long_bodies(newer: int | None, older: int | None, padding: int) -> None:
    body = orjson.dumps(
        {
            "model": "a/b",
            "max_tokens": older,
            "messages": [{"role": "user", "content": "x" * padding}],
            "max_completion_tokens": newer,
        }
    )
    assert _outcome(read, body) == _outcome(read_carefully, body)


def _outcome(reader: Callable[[bytes], Call], body: bytes) -> Call | str:
    try:
        return reader(body)
    except BadRequest as bad:
        return str(bad)
