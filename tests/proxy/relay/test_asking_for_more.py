"""How often a stream asks for more: once a window, and a few times where there is no more."""

import asyncio
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.admission.rule import OUTPUT_WINDOW_TOKENS, Decision, Extension, TooLittle
from proxy.relay.window import BYTES_A_TOKEN, Window

A_PIECE = 128
"""Bytes of an event, of which a token of text is a small part."""
RATE = Decimal("0.00001")
LIMIT = 8 * OUTPUT_WINDOW_TOKENS


def asked_by(answer: Any) -> int:
    """How many questions a stream of that limit asks, a token a piece, until its end or until it is stopped."""
    asked = 0

    async def extend(extension: Extension) -> Any:
        nonlocal asked
        asked += 1
        return answer(extension)

    async def run() -> None:
        most = RATE * OUTPUT_WINDOW_TOKENS
        decision = Decision(hold=most, bound=most, output_limit=LIMIT, covered=OUTPUT_WINDOW_TOKENS)
        admitted: Any = SimpleNamespace(decision=decision, generation_id="gen", counted_on=None)
        ask: Any = SimpleNamespace(output_rate=RATE, input_most=Decimal(0), policy=None, bound_at=lambda n: RATE * n)
        window = Window(ask, admitted, choices=1, adds_input=False, extend=extend, refused=lambda cap: None)
        for made in range(1, LIMIT):
            window.seen += A_PIECE
            if window.seen >= window.look_at and not await window.goes_on(made * BYTES_A_TOKEN):
                assert made >= OUTPUT_WINDOW_TOKENS
                break
            await asyncio.sleep(0)

    asyncio.run(run())
    return asked


def test_a_stream_asks_once_a_window():
    assert asked_by(lambda extension: extension.wanted) == LIMIT // OUTPUT_WINDOW_TOKENS - 1


@pytest.mark.parametrize("why", [TooLittle.BALANCE, TooLittle.ENDED])
def test_a_stream_that_gets_no_more_does_not_ask_with_each_piece(why):
    assert 2 <= asked_by(lambda extension: why) <= 5
