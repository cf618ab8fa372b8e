"""A gateway whose streams are held for by small windows, and upstreams that write on: fixtures and helpers."""

import asyncio
import threading
import time
from decimal import Decimal

import pytest
from aiohttp import web

from accounts.keys import issuing
from proxy.admission import rule
from proxy.prices.loading import load_catalog
from tests.conftest import NOW
from tests.proxy.conftest import catalog
from tests.spoken import CHAT, GENERATE, MESSAGES, RESPONSES
from tests.upstream import stream as play

WINDOW, LIMIT = 300, 3_000
A_TOKEN = Decimal("0.000042")
WORD = "twelve bytes" * 25
"""A hundred tokens, as they are guessed while a stream is written."""
ENDED = {
    CHAT: '"finish_reason":"length"',
    MESSAGES: '"stop_reason":"max_tokens"',
    GENERATE: '"finishReason":"MAX_TOKENS"',
    RESPONSES: '"incomplete_details":{"reason":"max_output_tokens"}',
}


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(rule, "OUTPUT_WINDOW_TOKENS", WINDOW)


@pytest.fixture
def poor(gateway, make_customer):
    """The gateway's client becomes one with 0.05 USD of bonus; what is asked costs about 0.003."""
    customer = make_customer("0.05", name="Poor")
    gateway.key = issuing.issue(customer=customer, name="k", now=NOW).text
    gateway.client.headers["Authorization"] = f"Bearer {gateway.key}"
    return customer


@pytest.fixture
def long_answers(gateway, upstream):
    load_catalog(catalog(upstream, max_output_tokens=LIMIT))
    gateway.look_at_catalog()


def limited(spoken, most=LIMIT):
    """The member that asks for so much output."""
    if spoken.path == GENERATE.path:
        return {"generationConfig": {"maxOutputTokens": most}}
    return {"max_output_tokens" if spoken.path == RESPONSES.path else "max_tokens": most}


def with_output(spoken, tokens):
    """The end of a stream that used 20 tokens and so many."""
    told, total = str(tokens).encode(), str(20 + tokens).encode()
    ending = b"\0".join(spoken.ending)
    for count in (b'completion_tokens":', b'output_tokens":', b'candidatesTokenCount":'):
        ending = ending.replace(count + b"5", count + told)
    for count in (b'total_tokens":', b'totalTokenCount":'):
        ending = ending.replace(count + b"25", count + total)
    return ending.split(b"\0")


def written(spoken, words):
    """A stream's events, up to its ending."""
    return [*spoken.opening, *[spoken.word(WORD) for _ in range(words)]]


def endless(upstream, spoken):
    """The upstream writes far on, or until it is hung up on, which is told by the event."""
    hung_up = threading.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await play(request, list(spoken.opening))
        try:
            for _ in range(500):
                await response.write(spoken.word(WORD))
                await asyncio.sleep(0.002)
        finally:
            hung_up.set()
        return response

    upstream.handler = handler
    return hung_up


def wait_until(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
