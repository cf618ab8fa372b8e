"""What a translation costs grows as the request does: a body may hold some hundred thousand of anything."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.proxy.protocols.translate.ways import CHAT_TO_RESPONSES, TO_MESSAGES, Way

FEW = 100
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USER = {"role": "user", "content": "Hi"}


def steps_of(work: Callable[[], Any]) -> int:
    """How many functions are called, however fast."""
    steps = 0

    def count(_frame: Any, _event: str, _what: Any) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return steps


def messages(count: int) -> list[dict[str, Any]]:
    return [USER] * count


def calls(count: int) -> list[dict[str, Any]]:
    result = {"role": "tool", "tool_call_id": "c1", "content": "one"}
    return [USER, {"role": "assistant", "content": None, "tool_calls": [CALL] * count}, *[result] * count]


@pytest.mark.parametrize("many", [messages, calls])
@pytest.mark.parametrize("way", [TO_MESSAGES, CHAT_TO_RESPONSES], ids=lambda way: way.name)
def test_twice_as_much_is_twice_the_work(way: Way, many: Callable[[int], list[dict[str, Any]]]):
    few, twice = ({"messages": many(FEW * times)} for times in (1, 2))
    way.sent(few)
    assert steps_of(lambda: way.sent(twice)) < 2.5 * steps_of(lambda: way.sent(few))
