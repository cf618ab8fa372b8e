"""A gateway learns from its answers, and what it held by stands with the request."""

from decimal import Decimal

import pytest

from proxy.models import Generation, Learned, WarmPrompt
from tests.faults.conftest import wait_until
from tests.proxy.conftest import settle
from tests.proxy.metrics_text import metric
from tests.upstream import answer, usage

TEXT = "four" * 10_000
"""40 kB, of 10,000 tokens where it is read."""


def ask(gateway, upstream, *, cached: int = 0, text: str = TEXT, **more) -> Generation:
    told = usage(prompt=10_000, completion=20, prompt_tokens_details={"cached_tokens": cached})
    upstream.json = answer(usage=told)
    done = gateway.chat(messages=[{"role": "user", "content": text}], **more)
    assert done.status_code == 200, done.text
    return Generation.objects.get(pk=done.headers["x-generation-id"])


def test_a_large_prompt_teaches_its_customer_and_the_next_is_guessed_by_it(gateway, upstream):
    first = ask(gateway, upstream, cached=9_000)
    assert first.guess is None, "every byte a token"
    wait_until(Learned.objects.exists)
    assert Learned.objects.get().customer_id == first.customer_id

    def is_guessed() -> bool:
        return ask(gateway, upstream, cached=9_000).guess is not None

    wait_until(is_guessed)
    last = Generation.objects.latest("pk")
    assert last.guess.keys() == {"by", "input", "cached", "output", "cost"}
    assert (last.guess["by"], last.guess["cached"]) == ("learned", 8_550)
    assert 10_000 <= last.guess["input"] < 16_000
    assert last.bound == first.bound, "what it can cost is what it was"
    assert last.held == last.bound, "without an allowance it is held at that"
    assert Decimal(last.guess["cost"]) < last.bound
    settle()


def test_a_small_prompt_teaches_nothing(gateway, upstream):
    ask(gateway, upstream, text="hi")
    ask(gateway, upstream)
    wait_until(Learned.objects.exists)
    assert WarmPrompt.objects.get().size > 40_000


def test_metrics_tell_how_good_the_guess_is(gateway, upstream):
    def told() -> list[float]:
        names = ("held", "estimated", "used")
        return [metric(gateway, f"chuizi_{name}_usd_total", model="openai/m") for name in names]

    before = told()
    done = ask(gateway, upstream)
    held, estimated, used = (now - was for now, was in zip(told(), before, strict=True))
    assert held == pytest.approx(float(done.held))
    assert used == pytest.approx(float(done.cost))
    assert used < estimated < held
